"""The Hexagon NN library that phones run, on the desk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from hexconv.device.elf import WHICH, read_library
from hexconv.device.process import Limits
from hexconv.device.session import Run, Session
from hexconv.device.wiring import (
    Feeds,
    check_outside,
    input_tensors,
    named_outputs,
    output_slots,
)
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Array, Graph

ENVIRONMENT = "HEXCONV_LIBRARY"


class HasGraph(Protocol):
    """A converted or loaded model."""

    graph: Graph


def graph_of(model: Graph | HasGraph) -> Graph:
    """The nnlib graph of a model, or the graph itself."""
    return model if isinstance(model, Graph) else model.graph


def library_path(path: str | os.PathLike[str] | None = None) -> Path:
    """The library's file: `path`, or what `HEXCONV_LIBRARY` says.

    Raises:
        ConfigError: if neither is given.
    """
    chosen = path or os.environ.get(ENVIRONMENT)
    if not chosen:
        raise ConfigError(
            "no DSP library is given",
            why="hexconv ships no Qualcomm code",
            todo=f"--library FILE, or {ENVIRONMENT}=FILE: {WHICH}",
        )
    return Path(chosen)


class Library:
    """`libhexagon_nn_skel.so` under the emulator. Each call starts processes of its own.

    Args:
        path: the v60 library; without it, the one that `HEXCONV_LIBRARY` names.
        limits: time and memory for each process.

    Raises:
        ConfigError, FileError, DeviceError: if there is no such library, or it cannot be run.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, limits: Limits | None = None
    ) -> None:
        self.path = library_path(path)
        self.session = Session(read_library(self.path), limits or Limits())

    def run(self, model: Graph | HasGraph, feeds: Feeds) -> dict[str, Array]:
        """Execute a model once.

        Args:
            model: a converted or loaded model, or its nnlib graph.
            feeds: data for each input by name, in the model's own shape.

        Returns:
            Each output by name, float32, in the model's own shape.

        Raises:
            ConfigError: if the feeds do not fit the model.
            DeviceError: if the library refuses the graph, crashes or does not end.
        """
        return self.run_batch(model, [feeds])[0]

    def run_batch(self, model: Graph | HasGraph, batch: Iterable[Feeds]) -> list[dict[str, Array]]:
        """Execute a model on many feeds, one after another, in one process.

        Raises:
            ConfigError, DeviceError: as `run`.
        """
        graph = graph_of(model)
        check_outside(graph)
        runs = (Run(input_tensors(graph, feeds)) for feeds in batch)
        answer = self.session.execute(graph, runs, output_slots(graph))
        return [named_outputs(graph, tensors) for tensors in answer.outputs]

    def prepare(self, model: Graph | HasGraph) -> None:
        """See whether the library takes and prepares the model; execute nothing.

        Raises:
            DeviceError: if it does not, with the library's reason.
        """
        self.session.execute(graph_of(model), (), ())
