"""What nnlib rewrites are written with: consts and shapes by reference, new consts shared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexconv.lowering.builder import SCALAR
from hexconv.nnlib.graph import Array, Const, Graph, Node, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.quantize import Range


class Editor:
    """A graph under rewriting: new consts get ids above all others until it is numbered anew."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._consts = graph.const_by_id()
        self._nodes = graph.node_by_id()
        self._next = 1 + max([*self._consts, *self._nodes], default=0)
        self._scalars: dict[tuple[object, ...], Ref] = {}
        self._names = {const.name for const in graph.consts} | {node.name for node in graph.nodes}

    def const(self, ref: Ref) -> Array | None:
        """The values of a const; None for a node's output."""
        const = self._consts.get(ref.node)
        return None if const is None else const.array

    def shape(self, ref: Ref) -> Shape4:
        """B, H, W, D of a tensor."""
        const = self._consts.get(ref.node)
        if const is not None:
            b, h, w, d = const.array.shape
            return b, h, w, d
        return self._nodes[ref.node].outputs[ref.port].shape

    def add_const(self, name: str, array: Array, span: Range | None = None) -> Ref:
        """A new 4-D const."""
        limits = (
            None if span is None else (float(np.float32(span.min)), float(np.float32(span.max)))
        )
        return self._add(Const(self._next, self.unique(name), array, False, limits))

    def add_scalar(self, name: str, value: float) -> Ref:
        """A float32 const of shape 1x1x1x1, shared by value."""
        key = ("scalar", np.float32(value).tobytes())
        if key not in self._scalars:
            array = np.full(SCALAR, value, np.float32)
            self._scalars[key] = self._add(Const(self._next, self.unique(name), array))
        return self._scalars[key]

    def add_extent(self, name: str, height: int, width: int) -> Ref:
        """A stride or window const, shared by shape."""
        key = ("extent", height, width)
        if key not in self._scalars:
            array = np.zeros((1, height, width, 1), np.int32)
            const = Const(self._next, self.unique(name), array, True)
            self._scalars[key] = self._add(const)
        return self._scalars[key]

    def add_ints(self, name: str, values: Sequence[int]) -> Ref:
        """A new int32 const along D."""
        return self.add_const(name, np.asarray(values, np.int32).reshape(1, 1, 1, -1))

    def new_id(self) -> int:
        """An id for a new node."""
        self._next += 1
        return self._next - 1

    def remember(self, node: Node) -> None:
        """Know a new node's shapes."""
        self._nodes[node.id] = node

    def _add(self, const: Const) -> Ref:
        self.graph.consts.append(const)
        self._consts[const.id] = const
        self._next += 1
        return Ref(const.id)

    def unique(self, name: str) -> str:
        """A name that no const or node has yet."""
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate
