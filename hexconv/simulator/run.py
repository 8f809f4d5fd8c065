"""Simulate a graph: the DSP's outputs, in the ONNX model's own names and layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from hexconv.argument_types import checks_types
from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.feeds import Feeds, checked_feeds
from hexconv.nnlib.graph import (
    INPUT_OP,
    OUTPUT_OP,
    OUTPUT_PORTS,
    Graph,
    HasGraph,
    Ref,
    graph_of,
)
from hexconv.nnlib.prepare import Prepared, trace
from hexconv.nnlib.prepare.left_padding import require_unshifted
from hexconv.nnlib.ranges.loudest import check_loudness, widest_inputs
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.simulator.executor import PER_INPUT, Executor, Watch, scalar


@dataclass(frozen=True)
class Taps(Mapping[str, list[Array]]):
    """Raw outputs of every node of the graph as appended, by node name.

    A node that prepare fused away has none: `held_by` names the executed node that replaces it.
    `includes` maps an executed node to the Relu that was moved into it: its outputs, which are the
    Relu's too, are not those of the node alone. `executed` lists (name, op) in the order of
    execution.
    """

    arrays: dict[str, list[Array]]
    executed: tuple[tuple[str, str], ...] = ()
    held_by: dict[str, str] = field(default_factory=dict)
    includes: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list[Array]:
        if name not in self.arrays and name in self.held_by:
            raise KeyError(f"'{name}' was fused into '{self.held_by[name]}'")
        return self.arrays[name]

    def __iter__(self) -> Any:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


class Simulator:
    """A graph prepared once, to be run many times.

    Kernels keep what they compute from constants between runs, and, as in the library, the ranges
    measured by ops without a requested one.

    Args:
        model: a model or its nnlib graph.
        library: "v60", "v65" or "v66".

    Raises:
        GraphError: the library would reject the graph, or a node has no kernel.
    """

    @checks_types()
    def __init__(self, model: HasGraph | Graph, library: LibraryVersion = DEFAULT_LIBRARY) -> None:
        self.graph = graph_of(model)
        self.library = library
        check_ends(self.graph)
        self.prepared: Prepared = trace(self.graph, library)
        require_unshifted(self.prepared.graph)
        self._widest = widest_inputs(self.graph)
        self._plain = Executor(self.prepared.graph, library)
        self._tapped: Executor | None = None

    def twin(self) -> Simulator:
        """Another one, to run at the same time in another thread; weights exist once.

        Not for a graph whose outputs depend on the inputs before (`many.remembering`).
        """
        twin = copy(self)
        twin._plain, twin._tapped = self._plain.twin(), None
        return twin

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """The DSP's outputs: float32 arrays by output name.

        Args:
            feeds: float arrays by input name, in the shape that the model has.

        Raises:
            ConfigError: a feed is missing, unknown, of another shape or type, or not finite.
            GraphError: a feed is too loud for the graph, or a node cannot compute what it gets.
        """
        return self._outputs(self._plain.run(self.sources(feeds)))

    def run_watched(self, feeds: Feeds, watch: Watch) -> dict[str, Array]:
        """As `run`, passing each executed node's outputs to `watch`, which may replace them."""
        return self._outputs(self._plain.run(self.sources(feeds), watch))

    def run_with_taps(self, feeds: Feeds) -> tuple[dict[str, Array], Taps]:
        """The same, and the raw outputs of every node."""
        wanted = self._wanted()
        if self._tapped is None:
            self._tapped = Executor(
                self.prepared.graph,
                self.library,
                keep=[r for refs in wanted.values() for r in refs],
            )
        outputs = self._outputs(self._tapped.run(self.sources(feeds)))
        arrays: dict[str, list[Array]] = {}
        for name, refs in wanted.items():
            found = [self._tapped.value(ref) for ref in refs]
            arrays[name] = [array for array in found if array is not None]
        return outputs, self._taps({name: kept for name, kept in arrays.items() if kept})

    def _wanted(self) -> dict[str, list[Ref]]:
        """Where in the executed graph the outputs of each node of the original are."""
        executed = {node.id for node in self.prepared.graph.nodes}
        wanted: dict[str, list[Ref]] = {}
        for node in self.graph.nodes:
            refs = [self.prepared.tensor(Ref(node.id, port)) for port in range(len(node.outputs))]
            if refs and all(ref.node in executed for ref in refs):
                wanted[node.name] = refs
        return wanted

    def _taps(self, arrays: dict[str, list[Array]]) -> Taps:
        names = {node.id: node.name for node in self.prepared.graph.nodes}
        held_by: dict[str, str] = {}
        includes: dict[str, str] = {}
        for node in self.graph.nodes:
            holder = self.prepared.holder(node.id)
            if holder is None or holder == node.id:
                continue
            held_by[node.name] = names[holder]
            if node.op == "QuantizedRelu_8" and Ref(node.id) in self.prepared.moved:
                includes[names[holder]] = node.name
        executed = tuple((node.name, node.op) for node in self.prepared.graph.nodes)
        return Taps(arrays, executed, held_by, includes)

    def sources(self, feeds: Feeds) -> list[Array]:
        """What the graph's inputs receive, as `Executor.run` takes it."""
        checked = checked_feeds(self.graph.inputs, feeds)
        check_loudness(self.graph, self._widest, checked)
        sources: list[Array] = []
        for interface in self.graph.inputs:
            data = interface.layout.pack(checked[interface.name])
            sources += [data, scalar(0), scalar(0), scalar(1, "int32")]
        return sources

    def _outputs(self, results: Sequence[Array]) -> dict[str, Array]:
        ports = len(results) // len(self.graph.outputs)
        return {
            interface.name: interface.of_raw(interface.layout.unpack(data, interface.raw_shape))
            for interface, data in zip(self.graph.outputs, results[::ports], strict=True)
        }


def check_ends(graph: Graph) -> None:
    """Check that the graph has MACE's two ends, and that they fit its interface."""
    first = [len(node.outputs) for node in graph.nodes if node.op == INPUT_OP]
    last = [node for node in graph.nodes if node.op in OUTPUT_PORTS]
    op = last[0].op if last else OUTPUT_OP
    ports = [len(node.inputs) for node in last]
    _check_ports("inputs", INPUT_OP, first, len(graph.inputs), 3)
    _check_ports("outputs", op, ports, len(graph.outputs), OUTPUT_PORTS[op])


def _check_ports(what: str, op: str, ports: Sequence[int], count: int, each: int) -> None:
    if ports != [each * count]:
        raise GraphError(
            f"a graph with {count} named {what} has one {op} node with {each} ports for each",
            why=f"this one has {ports or 'none'}",
        )


@overload
def simulate(
    model: HasGraph | Graph,
    feeds: Feeds,
    taps: Literal[False] = False,
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> dict[str, Array]: ...


@overload
def simulate(
    model: HasGraph | Graph,
    feeds: Feeds,
    taps: Literal[True],
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> tuple[dict[str, Array], Taps]: ...


@checks_types()
def simulate(
    model: HasGraph | Graph,
    feeds: Feeds,
    taps: bool = False,
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> dict[str, Array] | tuple[dict[str, Array], Taps]:
    """The DSP's outputs, computed without a phone.

    Args:
        model: a model or its nnlib graph.
        feeds: float32 arrays by input name, in the ONNX model's shape and order of axes. Each is
            quantized over the range of its own data, as MACE's runtime does.
        taps: return every node's raw outputs as well.
        library: "v60", "v65" or "v66"; the later two squeeze convolution weights to int8.

    Returns:
        float32 arrays by output name, in the ONNX model's shape; with `taps` a pair of them and
        a mapping from node name to the node's raw output arrays (BHWD).

    Raises:
        HexconvError: bad feeds, or a graph that the library would reject.
    """
    simulator = Simulator(model, library)
    return simulator.run_with_taps(feeds) if taps else simulator.run(feeds)


__all__ = ["PER_INPUT", "Feeds", "Simulator", "Taps", "simulate"]
