"""Which tensors a float model and the executed nnlib graph have in common, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.nnlib.convolution_code import CONVOLUTION, STRIDE
from hexconv.nnlib.graph import INPUT_OP, Const, Graph, Node, Ref
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.nnlib.prepare import Prepared
from hexconv.simulator.executor import SAME_DATA

PORTS = 3
"""Data, min and max."""
CONVOLUTIONS = ("Supernode", "DilatedConv", "GroupedConv", "TransposeConv")
"""In the names of ops that have a bias for each channel."""


@dataclass(frozen=True)
class CompareSite:
    """One ONNX tensor in the executed graph.

    Attributes:
        tensor: its ONNX name.
        shape: its ONNX shape.
        layout: its layout in the library.
        name, op: of the node as appended.
        runs_as: the op that is executed instead.
        onnx_node: what it was lowered from.
        ref: the executed graph's tensor.
        bhwd: its declared sizes; the layout's in another grouping of the same bytes.
    """

    tensor: str
    shape: tuple[int, ...]
    layout: Layout
    name: str
    op: str
    runs_as: str
    onnx_node: str
    ref: Ref
    bhwd: Shape4

    @property
    def has_bias(self) -> bool:
        """Whether its node adds a bias to each channel."""
        return any(word in self.runs_as for word in CONVOLUTIONS)

    def pack(self, values: Mapping[str, Array]) -> npt.NDArray[np.float32]:
        """The float model's tensor in the library's layout: a view where one can be."""
        value = values[self.tensor].astype(np.float32, copy=False)
        return value.transpose(self.layout.order).reshape(self.bhwd)

    def triple(self, results: Sequence[Array]) -> list[Array]:
        """Of its node's raw outputs data, min and max; of several data outputs they come last."""
        port = self.ref.port
        if self.op == INPUT_OP or len(results) < PORTS:
            return list(results[port : port + PORTS])
        return [results[port], *results[-2:]]


@dataclass(frozen=True)
class SiteWeights:
    """The const weights of an executed node.

    Attributes:
        const: the values and their range.
        convolution: whether v65 and v66 may squeeze them (`convolution_code.CONVOLUTION`).
        column_stride: of such a convolution, else 1.
    """

    const: Const
    convolution: bool
    column_stride: int


@dataclass(frozen=True)
class Sites:
    """Every shared tensor.

    Attributes:
        by_node: by executed node, in the order of execution.
        unmatched: tensors of the graph that the float model does not have.
        before: for each tensor, the shared tensors that it is computed from, through any number of
            nodes without one.
        weights: by tensor, where its node has them.
    """

    by_node: Mapping[int, tuple[CompareSite, ...]]
    unmatched: tuple[str, ...]
    before: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, SiteWeights]

    @property
    def all(self) -> tuple[CompareSite, ...]:
        """All of them, in the order of execution."""
        return tuple(site for sites in self.by_node.values() for site in sites)


def find_sites(graph: Graph, prepared: Prepared, names: Mapping[str, tuple[int, ...]]) -> Sites:
    """Match a graph's tensors with the float model's by name and shape.

    Args:
        graph: as appended.
        prepared: what is executed.
        names: shapes of the float model's tensors by name.
    """
    executed = prepared.graph.node_by_id()
    unmatched: list[str] = []
    held: dict[Ref, CompareSite] = {}
    seen: set[str] = set()
    for site in _marked(graph, prepared):
        if names.get(site.tensor) != site.shape or prod(site.shape) != prod(site.bhwd):
            unmatched.append(site.tensor)
        elif site.ref.node in executed and site.tensor not in seen:
            seen.add(site.tensor)
            # Of several that share a tensor the last one counts: the library may have moved
            # a Relu into the convolution before it.
            held[site.ref] = site
    by_node: dict[int, tuple[CompareSite, ...]] = {}
    for node in prepared.graph.nodes:
        found = tuple(site for ref, site in held.items() if ref.node == node.id)
        if found:
            by_node[node.id] = found
    return Sites(
        by_node,
        tuple(dict.fromkeys(unmatched)),
        _before(prepared.graph, held),
        _weights(prepared.graph, held),
    )


def _marked(graph: Graph, prepared: Prepared) -> list[CompareSite]:
    executed = prepared.graph.node_by_id()
    sites: list[CompareSite] = []
    for node in graph.nodes:
        if node.op == INPUT_OP:
            for index, item in enumerate(graph.inputs):
                ref = Ref(node.id, PORTS * index)
                sites.append(
                    CompareSite(
                        item.name,
                        item.shape,
                        item.layout,
                        node.name,
                        node.op,
                        node.op,
                        "",
                        ref,
                        item.bhwd,
                    )
                )
        elif node.origin is not None:
            ref = _source(prepared.tensor(Ref(node.id)), executed)
            runs_as = executed[ref.node].op if ref.node in executed else ""
            origin = node.origin
            sites.append(
                CompareSite(
                    origin.tensor,
                    origin.shape,
                    origin.layout,
                    node.name,
                    node.op,
                    runs_as,
                    node.onnx_node,
                    ref,
                    node.outputs[0].shape,
                )
            )
    return sites


def _source(ref: Ref, executed: Mapping[int, Node]) -> Ref:
    """Skip nodes that only change how data is laid out in memory."""
    while ref.node in executed and executed[ref.node].op in SAME_DATA:
        ref = executed[ref.node].inputs[0]
    return ref


def _before(graph: Graph, held: Mapping[Ref, CompareSite]) -> dict[str, tuple[str, ...]]:
    reach: dict[int, dict[str, None]] = {}
    result: dict[str, tuple[str, ...]] = {}
    sites_of: dict[int, list[CompareSite]] = {}
    scalars = {
        Ref(node.id, port)
        for node in graph.nodes
        for port, output in enumerate(node.outputs)
        if output.dtype == "float32" and output.shape == (1, 1, 1, 1)
    }
    for site in held.values():
        sites_of.setdefault(site.ref.node, []).append(site)
    for node in graph.nodes:
        found: dict[str, None] = {}
        for ref in node.inputs:
            if ref in scalars:
                continue
            if ref in held:
                found[held[ref].tensor] = None
            else:
                found.update(reach.get(ref.node, {}))
        for site in sites_of.get(node.id, ()):
            result[site.tensor] = tuple(found)
        reach[node.id] = found
    return result


WEIGHTED = ("Supernode", "SuperFC", "DilatedConv", "GroupedConv", "TransposeConv", "MatMul")


def _weights(graph: Graph, held: Mapping[Ref, CompareSite]) -> dict[str, SiteWeights]:
    """Input 1 of the nodes that have const weights there."""
    consts, nodes = graph.const_by_id(), graph.node_by_id()
    found: dict[str, SiteWeights] = {}
    for ref, site in held.items():
        node = nodes[ref.node]
        if any(word in node.op for word in WEIGHTED) and len(node.inputs) > 1:
            const = consts.get(node.inputs[1].node)
            if const is not None:
                convolution = node.op == CONVOLUTION
                stride = consts[node.inputs[STRIDE].node].array.shape[2] if convolution else 1
                found[site.tensor] = SiteWeights(const, convolution, stride)
    return found
