"""Where the library places the tensors of a prepared graph in one block (nnlib src/allocate.c).

First fit, node by node in the order of execution: a node's outputs take the first gap that is
large enough, and a tensor leaves a gap behind its last reader. The block is as long as the furthest
tensor reaches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from hexconv.nnlib.graph import Graph, Node, Output, Ref
from hexconv.nnlib.ops import catalogue

ALIGNMENT = 128
GUARD = 256
"""A vector before each tensor and one behind it."""

ENDLESS = 1 << 40


def arena_bytes(graph: Graph) -> int:
    """Bytes of the block.

    Args:
        graph: as it is executed (`hexconv.nnlib.prepare`).
    """
    leaving = _leaving(graph)
    arena = _Arena()
    places: dict[Ref, tuple[int, int]] = {}
    for index, node in enumerate(graph.nodes):
        for port, output in enumerate(node.outputs):
            size = _rounded(tensor_bytes(node, port, output)) + GUARD
            places[Ref(node.id, port)] = arena.take(size), size
        for ref in leaving[index]:
            arena.give_back(*places[ref])
    return arena.reach


def tensor_bytes(node: Node, port: int, output: Output) -> int:
    """Bytes of a tensor as the library stores it (newnode.c, `output_tensor_alloc_size`)."""
    b, h, w, d = output.shape
    known = catalogue().get(node.op)
    number = output.shape == (1, 1, 1, 1) and output.elsize == 4 and port > 0
    if known is not None and known.form == "d32" and not number:
        h, w, d = h + 8, (w + 7) & ~3, (d + 31) & ~31
    return b * h * w * d * output.elsize


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _leaving(graph: Graph) -> Mapping[int, list[Ref]]:
    """The tensors that nobody reads behind a node, by the node's place in the order."""
    last: dict[Ref, int] = {}
    for index, node in enumerate(graph.nodes):
        for port in range(len(node.outputs)):
            last[Ref(node.id, port)] = index
        for ref in node.inputs:
            if ref in last:
                last[ref] = index
    leaving: defaultdict[int, list[Ref]] = defaultdict(list)
    for ref, index in last.items():
        leaving[index].append(ref)
    return leaving


class _Arena:
    """Gaps as (start, size), in order."""

    def __init__(self) -> None:
        self._gaps = [(GUARD, ENDLESS)]
        self.reach = GUARD

    def take(self, size: int) -> int:
        """The start of `size` bytes."""
        index = next(i for i, gap in enumerate(self._gaps) if gap[1] >= size)
        start, length = self._gaps[index]
        self._gaps[index : index + 1] = [(start + size, length - size)] if length > size else []
        self.reach = max(self.reach, start + size)
        return start

    def give_back(self, start: int, size: int) -> None:
        """Make a gap of them again, one with its neighbors."""
        index = next(i for i, gap in enumerate(self._gaps) if gap[0] > start)
        low, high = start, start + size
        if high == self._gaps[index][0]:
            high += self._gaps.pop(index)[1]
        if index and sum(self._gaps[index - 1]) == low:
            index -= 1
            low = self._gaps.pop(index)[0]
        self._gaps.insert(index, (low, high - low))
