"""The graph that cases build: raw inputs, constants, nodes; and the shapes that networks have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Const, Graph, Node, Output, Padding, Ref

RNG = np.random.default_rng(7)
SHAPES = [
    (1, 1, 12, 64),
    (1, 1, 48, 80),
    (1, 1, 144, 256),
    (1, 1, 100, 144),
    (1, 1, 200, 512),
    (1, 1, 144, 287),
    (1, 1, 144, 1024),
    (1, 4, 8, 32),
    (1, 16, 16, 64),
    (1, 28, 28, 24),
    (1, 14, 14, 96),
    (1, 32, 32, 16),
    (1, 1, 1000, 64),
    (1, 1, 4000, 16),
    (1, 4, 144, 144),
    (1, 144, 1, 256),
    (1, 7, 7, 320),
    (1, 56, 56, 32),
    (2, 6, 10, 33),
    (1, 1, 1, 512),
    (1, 4, 144, 64),
    (1, 1, 576, 144),
    (1, 1, 33, 5),
    (1, 144, 10, 32),
    (4, 1, 48, 48),
]
SMALL = SHAPES[:16]
Triple = tuple[Ref, Ref, Ref]


@dataclass
class Bench:
    """A graph under construction: raw inputs, consts, nodes."""

    consts: list[Const] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    fed: list[Output] = field(default_factory=list)
    feeds: list[Array] = field(default_factory=list)

    def const(self, array: Any, dtype: str = "float32") -> Ref:
        """A const of rank 4."""
        values = np.asarray(array, dtype)
        values = values.reshape((1,) * (4 - values.ndim) + values.shape)
        self.consts.append(Const(1000 + len(self.consts), "c", values))
        return Ref(self.consts[-1].id)

    def shape_const(self, h: int, w: int) -> Ref:
        """A stride or a window."""
        return self.const(np.zeros((1, h, w, 1)), "uint8")

    def value_range(self, low: float = -1.0, high: float = 127 / 128) -> tuple[Ref, Ref]:
        """A range."""
        return self.const(low), self.const(high)

    def feed(self, shape: tuple[int, ...], dtype: str = "uint8") -> Triple:
        """An input of the graph with a const range."""
        if dtype == "float32":
            data = RNG.uniform(-1, 1, shape).astype(dtype)
        else:
            top = 256 if dtype == "uint8" else 2000
            data = RNG.integers(0, top, shape).astype(dtype)
        self.fed.append(Output(shape, dtype))  # type: ignore[arg-type]
        self.feeds.append(data)
        return Ref(1, len(self.fed) - 1), *self.value_range()

    def weights(self, shape: tuple[int, ...]) -> Triple:
        """A uint8 const with its range."""
        return self.const(RNG.integers(0, 256, shape), "uint8"), *self.value_range()

    def add(
        self,
        op: str,
        inputs: list[Ref],
        *outputs: tuple[tuple[int, ...], str],
        padding: Padding = Padding.NA,
        ranged: bool = True,
    ) -> Triple:
        """A node; with `ranged` it returns a min and a max as well."""
        made = [Output(shape, dtype) for shape, dtype in outputs]  # type: ignore[arg-type]
        count = len(made)
        made += [Output((1, 1, 1, 1), "float32")] * (2 if ranged else 0)
        number = 100 + len(self.nodes)
        self.nodes.append(Node(number, op, op, tuple(inputs), tuple(made), padding))
        return Ref(number), Ref(number, count), Ref(number, count + 1)

    def d32(self, shape: tuple[int, ...]) -> Triple:
        """A fed tensor that comes from a node in d32."""
        x = self.feed(shape)
        alpha = self.const(np.full((1, 1, 1, shape[3]), 0.25))
        return self.add("QuantizedPRelu_8", [*x, alpha], (shape, "uint8"))

    def graph(self) -> Graph:
        """INPUT, the nodes, OUTPUT on what nothing reads."""
        read = {ref for node in self.nodes for ref in node.inputs}
        ends = tuple(
            Ref(node.id, port)
            for node in self.nodes
            for port, out in enumerate(node.outputs)
            if Ref(node.id, port) not in read
            and (out.shape != (1, 1, 1, 1) or out.dtype != "float32" or len(node.outputs) == 1)
        )
        first = Node(1, "input", "INPUT", (), tuple(self.fed))
        last = [Node(99, "output", "OUTPUT", ends, ())] if ends else []
        return Graph("bench", self.consts, [first, *self.nodes, *last])


Case = tuple[str, Callable[[Bench], None]]
