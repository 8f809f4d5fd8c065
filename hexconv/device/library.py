"""The Hexagon NN library that phones run, without a phone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, overload

from hexconv.argument_types import LIMITS, checks_types
from hexconv.arrays import Array
from hexconv.device.elf import WHICH, read_library
from hexconv.device.job import JobWriter
from hexconv.device.listing import parse_listing, show_listing
from hexconv.device.memory import DeviceMemory, memory
from hexconv.device.process import Limits
from hexconv.device.profile import REPEATS, Profile, profile
from hexconv.device.session import Run, Session
from hexconv.device.taps import LibraryTaps, tap
from hexconv.device.wiring import (
    check_outside,
    input_tensors,
    named_outputs,
    output_slots,
)
from hexconv.errors import ConfigError
from hexconv.nnlib.feeds import Feeds
from hexconv.nnlib.graph import Graph, HasGraph, graph_of
from hexconv.nnlib.versions import LibraryVersion

NodeList = list[tuple[str, str]]
ENVIRONMENT = "HEXCONV_LIBRARY"


def library_path(path: str | os.PathLike[str] | None = None) -> Path:
    """The library's file: `path`, or the value of `HEXCONV_LIBRARY`.

    Raises:
        ConfigError: if neither is given.
    """
    chosen = path or os.environ.get(ENVIRONMENT)
    if not chosen:
        raise ConfigError(
            "no DSP library is given",
            why="hexconv ships no Qualcomm code",
            hint=f"--library-file FILE, or {ENVIRONMENT}=FILE: {WHICH}",
        )
    return Path(chosen)


class Library:
    """`libhexagon_nn_skel.so` under the emulator. Each call starts its own processes.

    Args:
        path: the library for v60, v65 or v66; without it, the one that `HEXCONV_LIBRARY` names.
        limits: time and memory for each process.
        progress: called with (stage, done, total) while a process runs: nodes of all its
            executions; total is 0 where it is not known.

    Raises:
        ConfigError, FileError, DeviceError: if there is no such library, or it cannot be run.
    """

    @checks_types(limits=LIMITS)
    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.path = library_path(path)
        self.session = Session(read_library(self.path), limits or Limits(), progress)

    @property
    def version(self) -> LibraryVersion:
        """Of the DSP that it is built for: "v60", "v65" or "v66", by the file."""
        return self.session.library.version

    def expect(self, version: LibraryVersion | None) -> None:
        """Check that the library is of the version that the user requires, if any.

        Raises:
            ConfigError: it is another one.
        """
        if version not in (None, self.version):
            raise ConfigError(
                f"this library is {self.version}, not {version}",
                where=str(self.path),
                why="each version computes in its own way",
                hint=f"give the file of third_party/nnlib/{version}, or leave --library out",
            )

    @overload
    def run(
        self, model: Graph | HasGraph, feeds: Feeds, taps: Literal[False] = False
    ) -> dict[str, Array]: ...

    @overload
    def run(
        self, model: Graph | HasGraph, feeds: Feeds, taps: Literal[True]
    ) -> tuple[dict[str, Array], LibraryTaps]: ...

    @checks_types()
    def run(
        self, model: Graph | HasGraph, feeds: Feeds, taps: bool = False
    ) -> dict[str, Array] | tuple[dict[str, Array], LibraryTaps]:
        """Execute a model once.

        Args:
            model: a converted or loaded model, or its nnlib graph.
            feeds: data for each input by name, in the model's own shape.
            taps: return every node's raw outputs as well.

        Returns:
            Each output by name, float32, in the model's own shape; with `taps` a pair of them
            and the nodes' outputs.

        Raises:
            ConfigError: if the feeds do not fit the model.
            DeviceError: if the library rejects the graph, crashes or does not end.
        """
        outputs = self.run_batch(model, [feeds])[0]
        if not taps:
            return outputs
        graph = graph_of(model)
        return outputs, tap(self.session, graph, Run(input_tensors(graph, feeds)))

    def run_batch(self, model: Graph | HasGraph, batch: Iterable[Feeds]) -> list[dict[str, Array]]:
        """Execute a model on many feeds, one after another, in one process.

        Raises:
            ConfigError, DeviceError: as `run`.
        """
        graph = graph_of(model)
        check_outside(graph)
        runs = (Run(input_tensors(graph, feeds)) for feeds in batch)
        records = self.session.execute(graph, runs, output_slots(graph))
        return [named_outputs(graph, tensors) for tensors in records.outputs]

    def run_raw(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """Execute a graph with INPUT and OUTPUT nodes on raw tensors.

        Args:
            graph: for instance `hexconv.simulator.run_op.single(op, arrays)`.
            inputs: (B,H,W,D) arrays, one for each output of the INPUT node (four for each input
                of a QuantizeINPUT_f_to_8).

        Returns:
            The raw tensors that OUTPUT reads.

        Raises:
            DeviceError: as `run`.
        """
        return self.session.execute(graph, [Run(inputs)], output_slots(graph)).outputs[0]

    def nodes(self, model: Graph | HasGraph) -> tuple[NodeList, NodeList]:
        """(name, op) of each node before prepare, and after it in the order of execution.

        Raises:
            DeviceError: if the library cannot prepare the model.
        """
        graph = graph_of(model)
        records = self.session.execute(graph, (), (), list_nodes=True)
        before, after = (
            show_listing(graph, parse_listing(text)) for text in (records.before, records.after)
        )
        return before, after

    def profile(self, model: Graph | HasGraph, feeds: Feeds, repeats: int = REPEATS) -> Profile:
        """Count the packets of each node, the minimum of `repeats` executions.

        Raises:
            ConfigError, DeviceError: as `run`.
        """
        graph = graph_of(model)
        check_outside(graph)
        inputs, slots = input_tensors(graph, feeds), output_slots(graph)
        return profile(self.session, graph, inputs, slots, repeats)

    def memory(self, model: Graph | HasGraph, feeds: Feeds) -> DeviceMemory:
        """What preparing and executing a model needs of the DSP's heap and of VTCM.

        Raises:
            ConfigError, DeviceError: as `run`.
        """
        graph = graph_of(model)
        check_outside(graph)
        return memory(self.session, graph, input_tensors(graph, feeds), output_slots(graph))

    def ops(self) -> tuple[int, dict[int, str]]:
        """The library's version (as `hexagon_nn_version` returns it) and its ops by id.

        Raises:
            DeviceError: if it does not respond.
        """
        records = self.session.ask(JobWriter.list_ops).records
        return records.version, records.ops

    def prepare(self, model: Graph | HasGraph) -> None:
        """Check that the library accepts and prepares the model; execute nothing.

        Raises:
            DeviceError: if it does not, with the library's reason.
        """
        self.session.execute(graph_of(model), (), ())
