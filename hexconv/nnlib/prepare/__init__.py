"""The library's prepare: how it rewrites a graph before it runs.

`hexagon_nn_prepare` rewrites the graph before it runs: it expands some nodes, fuses others, moves
most of them to the d32 layout with conversions around them, and drops what nothing reads. This
package does the same, one rewrite per module, in the order of nnlib's prepare.c optimize(), so that
the simulator and the cost model use the graph that the library really executes.

Left out, because hexconv emits no such nodes: user-defined ops, OemNode, ImageTransform,
combining ChannelShuffle with its neighbors, and DepthwiseConv2d_f.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hexconv.nnlib.graph import Graph, Ref
from hexconv.nnlib.prepare import (
    autoquantize,
    bias_add,
    channel_scale,
    converts,
    depth32,
    depthwise,
    dilated_conv,
    fake_concat,
    grouped_conv,
    move_relus,
    mul_requantize,
    redundant,
    relu_x,
    requantize_range,
    scalar_mul,
    supernode_3322,
    supernodes,
    transpose_consts,
    transpose_conv,
)
from hexconv.nnlib.prepare.mutable_graph import Work
from hexconv.nnlib.versions import LibraryVersion


@dataclass(frozen=True)
class Prepared:
    """The executed graph, and where the tensors of the original one are in it.

    Args:
        graph: nodes in the order of execution. A node keeps its id when it takes its d32 form; a
            fused node has the id of the last node that it absorbed.
        moved: tensors of the original graph whose node is gone, and the tensor read instead. Where
            a Relu was moved into a convolution the two do not have the same values.
        absorbed: nodes of the original graph that another node computes now.
    """

    graph: Graph
    moved: dict[Ref, Ref]
    absorbed: dict[int, int]

    def tensor(self, ref: Ref) -> Ref:
        """The tensor that readers of a tensor of the original graph read now."""
        for _ in range(len(self.moved)):
            after = self.moved.get(ref, ref)
            if after == ref:
                break
            ref = after
        return ref

    def holder(self, node: int) -> int | None:
        """The id of the executed node that does the work of a node, or None if none does."""
        seen: set[int] = set()
        while node not in self._executed and node not in seen:
            seen.add(node)
            moved = self.moved.get(Ref(node))
            node = self.absorbed.get(node, node if moved is None else moved.node)
        return node if node in self._executed else None

    @cached_property
    def _executed(self) -> frozenset[int]:
        return frozenset(node.id for node in self.graph.nodes)


def trace(graph: Graph, library: LibraryVersion = "v60") -> Prepared:
    """Prepare a graph and report what became of each of its nodes.

    Args:
        graph: as appended. It may come with INPUT and OUTPUT or with MACE's quantizing ones.
        library: "v60", "v65" or "v66"; all prepare in the same way.

    Raises:
        GraphError: the library would fail to prepare it.
    """
    work = Work(graph)
    requantize_range.run(work)
    autoquantize.run(work)
    transpose_consts.run(work)
    transpose_conv.run(work)
    grouped_conv.run(work)
    dilated_conv.run(work)
    depthwise.run(work)
    redundant.run(work)
    work.sweep()
    relu_x.run(work)
    bias_add.run(work)
    supernodes.run(work)
    mul_requantize.run(work)
    supernode_3322.run(work)
    scalar_mul.run(work)
    move_relus.run(work)
    depth32.run(work)
    work.sweep()
    channel_scale.run(work)
    converts.run(work)
    work.sweep()
    fake_concat.run(work)
    work.sweep()
    return Prepared(work.graph(graph), work.moved, work.absorbed)


def prepare(graph: Graph, library: LibraryVersion = "v60") -> Graph:
    """The graph that is really executed; see `trace`."""
    return trace(graph, library).graph
