"""Predicted packets of each node that the library really executes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hexconv.argument_types import checks_types
from hexconv.cost import soc as socs
from hexconv.cost.facts import Facts, Reader, with_real_output
from hexconv.cost.macs import macs_of
from hexconv.cost.memory import MemoryCost, predict_memory
from hexconv.cost.table import MeasuredLibrary, check_library, law
from hexconv.nnlib.graph import Graph, HasGraph, Node, Padding, graph_of
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare import prepare
from hexconv.nnlib.versions import DEFAULT_LIBRARY
from hexconv.notebook import html_table

__all__ = ["Cost", "CostSum", "NodeCost", "node_packets", "predict"]


@dataclass(frozen=True)
class NodeCost:
    """One executed node.

    Args:
        id: of the node in the executed graph; those of prepare's own count down from 2^32 - 1.
        name: its own, or of the node that it was made for.
        op: as it is executed.
        onnx_node: the ONNX node that it comes from; "" if that is not known.
        packets: predicted; None if no similar node was measured.
        low: lower bound; nine of ten similar nodes were between it and `high`.
        high: upper bound.
        moved: bytes read and written.
        basis: what the prediction is based on, as text.
        macs: multiply-accumulates, those of padding left out.
    """

    id: int
    name: str
    op: str
    onnx_node: str
    packets: float | None
    low: float
    high: float
    moved: int
    basis: str
    macs: int = 0


@dataclass(frozen=True)
class CostSum:
    """A group of nodes."""

    count: int
    packets: float
    moved: int
    macs: int = 0


@dataclass(frozen=True, repr=False)
class Cost:
    """The executed nodes of a graph in order, and the cost of each.

    Attributes:
        nodes: in order.
        library: whose packets they are.
        executed: the graph as the library prepares it.
    """

    nodes: tuple[NodeCost, ...]
    library: MeasuredLibrary
    executed: Graph

    @functools.cached_property
    def memory(self) -> MemoryCost:
        """What the graph needs of the DSP's memory."""
        return predict_memory(self.executed, self.library)

    def __repr__(self) -> str:
        return (
            f"<hexconv.cost.Cost on {self.library}: {self.packets / 1e6:.2f} M packets, "
            f"{len(self.nodes)} executed nodes>"
        )

    def _repr_html_(self) -> str:
        rows = [(op, item.count, round(item.packets)) for op, item in self.by_type.items()]
        return html_table(repr(self).strip("<>"), ("executed op", "nodes", "packets"), rows)

    @property
    def packets(self) -> float:
        """Packets of one execution, those of unknown nodes left out."""
        return sum(node.packets or 0.0 for node in self.nodes)

    @property
    def range(self) -> tuple[float, float]:
        """Lower and upper estimate of the packets: every node at its low, at its high."""
        known = [node for node in self.nodes if node.packets is not None]
        return sum(node.low for node in known), sum(node.high for node in known)

    @property
    def moved(self) -> int:
        """Bytes read and written by all nodes."""
        return sum(node.moved for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all nodes, those of padding left out."""
        return sum(node.macs for node in self.nodes)

    @property
    def unknown(self) -> tuple[NodeCost, ...]:
        """Nodes of unknown cost."""
        return tuple(node for node in self.nodes if node.packets is None)

    @property
    def by_type(self) -> Mapping[str, CostSum]:
        """Sums by executed op, most expensive first."""
        return self._sums(lambda node: node.op)

    @property
    def by_layer(self) -> Mapping[str, CostSum]:
        """Sums by ONNX node (by name where that is not known), most expensive first."""
        return self._sums(lambda node: node.onnx_node or node.name)

    def milliseconds(self, soc: str | None = None) -> float:
        """The upper end of `time`: to rank and to add up, not to be shown alone."""
        return self.time(soc).high

    def time(self, soc: str | None = None) -> socs.Time:
        """Time of one execution on a phone, from a DSP at full clock to the published profile.

        Args:
            soc: "sd855" and the like, or the name of a calibrated phone; by default one that loads
                the library.

        Raises:
            ConfigError: it is not known.
        """
        return socs.total(self._times(soc or socs.for_library(self.library)))

    def node_time(self, node: NodeCost, soc: str | None = None) -> socs.Time:
        """Time of one node on a phone, as `time`."""
        soc = soc or socs.for_library(self.library)
        return socs.node_time(*_timed(node), soc)

    def _times(self, soc: str) -> list[socs.Time]:
        return socs.node_times(map(_timed, self.nodes), soc)

    def as_dict(self, soc: str | None = None) -> dict[str, Any]:
        """The section `cost` of a report: plain data, for JSON.

        Args:
            soc: as for `time`.

        Raises:
            ConfigError: it is not known.
        """
        soc = soc or socs.for_library(self.library)
        (low, high), times = self.range, self._times(soc)
        return {
            "library": self.library,
            "soc": soc,
            "packets": round(self.packets),
            "packets_low": round(low),
            "packets_high": round(high),
            "moved": self.moved,
            **_ends(socs.total(times)),
            "milliseconds_meaning": socs.meaning(soc),
            "memory": asdict(self.memory),
            "unknown": [node.name or str(node.id) for node in self.unknown],
            "by_type": {name: dict(vars(row)) for name, row in self.by_type.items()},
            "by_layer": {name: dict(vars(row)) for name, row in self.by_layer.items()},
            "nodes": [
                {**_node_dict(node), **_ends(time), "basis": node.basis, "inputs": sources}
                for node, time, sources in zip(self.nodes, times, self._sources(), strict=True)
            ],
        }

    def _sources(self) -> list[list[int]]:
        """For each node the ids of the executed nodes that it reads, in order."""
        ids = {node.id for node in self.executed.nodes}
        return [
            list(dict.fromkeys(ref.node for ref in node.inputs if ref.node in ids))
            for node in self.executed.nodes
        ]

    def _sums(self, key: Callable[[NodeCost], str]) -> Mapping[str, CostSum]:
        sums: dict[str, CostSum] = {}
        for node in self.nodes:
            before = sums.get(key(node), CostSum(0, 0.0, 0))
            packets = before.packets + (node.packets or 0.0)
            moved, macs = before.moved + node.moved, before.macs + node.macs
            sums[key(node)] = CostSum(before.count + 1, packets, moved, macs)
        return dict(sorted(sums.items(), key=lambda item: -item[1].packets))


def _node_dict(node: NodeCost) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "op": node.op,
        "onnx_node": node.onnx_node,
        "packets": node.packets,
        "packets_low": node.low,
        "packets_high": node.high,
        "moved": node.moved,
        "macs": node.macs,
    }


def _timed(node: NodeCost) -> tuple[str, float, int]:
    """What the time of a node depends on."""
    return node.op, node.packets or 0.0, node.moved


def _ends(time: socs.Time) -> dict[str, float]:
    return {"milliseconds_low": round(time.low, 5), "milliseconds_high": round(time.high, 5)}


@checks_types()
def predict(model: Graph | HasGraph, library: MeasuredLibrary = DEFAULT_LIBRARY) -> Cost:
    """Predict the cost of a model.

    Args:
        model: a converted or loaded model, or its nnlib graph, not yet prepared.
        library: "v60", "v65" or "v66", what MACE ships, as `hexconv device profile` counts it; or
            "open", nnlib built from its source with one vector thread.

    Raises:
        ConfigError: packets of the library are not known.
        GraphError: the library would not accept the graph.
    """
    check_library(library)
    graph = prepare(graph_of(model))
    reader = Reader(graph)
    layers = _layers(graph)
    return Cost(
        tuple(
            _node_cost(node, reader.facts(node), *layers[node.id], library) for node in graph.nodes
        ),
        library,
        graph,
    )


@checks_types()
def node_packets(
    op: str,
    input_shapes: Sequence[Shape4],
    output_shapes: Sequence[Shape4] = (),
    ints: Mapping[str, tuple[int, ...]] | None = None,
    padding: Padding = Padding.NA,
    library: MeasuredLibrary = DEFAULT_LIBRARY,
) -> float | None:
    """Packets of one executed node, or None if no similar node was measured.

    Args:
        op: as it is executed: `Supernode_8x8p32to8_d32`, not `Supernode_8x8p32to8`.
        input_shapes: BHWD of its tensors in the op's order, ranges and parameters left out: for a
            Supernode data (B,H,W,C), weights (kh,kw,C,N), bias (1,1,1,N).
        output_shapes: BHWD of its data outputs; by default the first input's.
        ints: parameters by role, e.g. {"perm": (0, 2, 1, 3)}; of a stride or window its shape
            (1,h,w,1).
        padding: of a window.
        library: see `predict`.
    """
    check_library(library)
    outputs = tuple(output_shapes) or tuple(input_shapes[:1])
    facts = with_real_output(Facts(op, tuple(input_shapes), outputs, ints or {}, padding))
    known = law(facts, library)
    return None if known is None else known.packets(facts)


def _node_cost(
    node: Node, facts: Facts, name: str, layer: str, library: MeasuredLibrary
) -> NodeCost:
    known, macs = law(facts, library), macs_of(facts)
    if known is None:
        why = f"no {node.op} was ever measured"
        return NodeCost(node.id, name, node.op, layer, None, 0.0, 0.0, facts.moved, why, macs)
    packets = known.packets(facts)
    worst = known.worst if known.exact else max(1.0, known.worst)
    where = "" if known.library == library else f" on '{known.library}'"
    like = "its kernel" if known.exact else "kernels of its op"
    basis = f"{known.nodes} nodes of {like} measured{where}; half within {100 * known.error:.0f} %"
    low, high = packets / (1 + worst), packets * (1 + worst)
    return NodeCost(node.id, name, node.op, layer, packets, low, high, facts.moved, basis, macs)


def _layers(graph: Graph) -> dict[int, tuple[str, str]]:
    """(name, ONNX node) of each node; one that prepare inserted belongs to the node it is for.

    A Convert_to_d32 or a pad belongs to its first reader, a Convert_from_d32 to its producer.
    """
    own = {node.id: (node.name, node.onnx_node) for node in graph.nodes}
    made = {node.id: node for node in graph.nodes if not node.onnx_node and node.id >= 1 << 31}
    readers = {ref.node: node.id for node in reversed(graph.nodes) for ref in node.inputs}
    for node in reversed(graph.nodes):
        if node.id in made and node.op != "Convert_from_d32" and node.id in readers:
            name, layer = own[readers[node.id]]
            own[node.id] = (node.name or name, layer)
    for node in graph.nodes:
        if node.id in made and node.op == "Convert_from_d32" and node.inputs[0].node in own:
            name, layer = own[node.inputs[0].node]
            own[node.id] = (node.name or name, layer)
    return own
