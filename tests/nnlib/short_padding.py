"""Two or three nodes of which the last may need more padding than the first leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Graph, Padding
from hexconv.nnlib.layout import Shape4
from tests.nnlib.random_graphs import Builder, Triple


@dataclass
class Chain:
    """Appends nodes one behind the other; the library runs all of them in d32 form."""

    made: Builder
    x: Triple
    shape: Shape4

    @classmethod
    def start(cls, height: int, width: int, depth: int = 64) -> Chain:
        """Behind the input."""
        made = Builder()
        shape = (1, height, width, depth)
        return cls(made, made.quantized("INPUT", [], shape), shape)

    def _add(
        self, op: str, more: list, shape: Shape4, padding: Padding = Padding.NA, parts: int = 1
    ) -> Chain:
        self.x, self.shape = self.made.quantized(op, more, shape, padding, parts), shape
        return self

    def window(self, kind: str, kernel: tuple[int, int], *, valid: bool = False) -> Chain:
        """A convolution or pool of stride 1."""
        padding = Padding.VALID if valid else Padding.SAME
        b, h, w, d = self.shape
        if valid:
            h, w = h - kernel[0] + 1, w - kernel[1] + 1
        x, low, high = self.x
        if kind in ("MaxPool", "AvgPool"):
            sizes = [self.made.size(*kernel), self.made.size(1, 1)]
            return self._add(f"Quantized{kind}_8", [*self.x, *sizes], (b, h, w, d), padding)
        weights = np.random.RandomState(1).randint(
            100, 156, (*kernel, d, 1 if "Dep" in kind else d)
        )
        inputs = [x, self.made.const(weights, "uint8"), low, high, *self.made.range(-1, 127 / 128)]
        inputs += [self.made.size(1, 1), self.made.const(np.zeros(d)), *self.made.range(-9, 9)]
        inputs += self.made.range(-4, 4 * 127 / 128)
        return self._add(f"{kind}Supernode_8x8p32to8", inputs, (b, h, w, d), padding)

    def leave(self, name: str) -> Chain:
        """A node that leaves less padding around one row or one column."""
        b, h, w, d = self.shape
        x, low, high = self.x
        if name == "Concat":
            other = self.made.quantized("QuantizedRelu_8", list(self.x), self.shape)
            pairs = [ref for pair in zip(self.x, other, strict=True) for ref in pair]
            return self._add("QuantizedConcat_8", [self.made.const(3), *pairs], (b, h, w, 2 * d))
        self.window("", (1, 1))
        x, low, high = self.x
        if name == "DepthToSpace":
            inputs = [x, self.made.const((1, 2)), low, high]
            return self._add("DepthToSpace_8", inputs, (b, h, 2 * w, d // 2))
        if name == "BatchToSpace":
            block = [self.made.const([1, 2]), self.made.const([[0, 0], [0, 0]])]
            self._add("SpaceToBatchND_8", [x, *block, low, high], (2 * b, h, w // 2, d))
            x, low, high = self.x
            return self._add("BatchToSpaceND_8", [x, *block, low, high], (b, h, w, d))
        return self.window(name, (1, 1))

    def behind(self, name: str) -> Chain:
        """An element-wise node."""
        if name == "PRelu":
            slopes = self.made.const(np.full(self.shape[3], 0.25), "float32")
            return self._add("QuantizedPRelu_8", [*self.x, slopes], self.shape)
        if name == "Split":
            shape = (*self.shape[:3], self.shape[3] // 2)
            inputs = [self.made.const(3), *self.x]
            return self._add("QuantizedSplit_8", inputs, shape, parts=2)
        if name == "Add":
            x, low, high = self.x
            y = self.made.const(np.full((1, 1, 1, self.shape[3]), 99), "uint8")
            ranges = [low, high, *self.made.range(-1, 1), *self.made.range(-2, 2)]
            return self._add("QuantizedAdd_8p8to8", [x, y, *ranges], self.shape)
        return self._add(f"Quantized{name}_8", list(self.x), self.shape)

    def graph(self) -> Graph:
        """With the last result as the output."""
        self.made.append("OUTPUT", list(self.x), [])
        return self.made.graph()

    def feeds(self) -> list[Array]:
        """The raw input: values, minimum, maximum."""
        shape = self.made.nodes[0].outputs[0].shape
        values = np.random.RandomState(2).randint(0, 256, shape).astype(np.uint8)
        ends = [np.full((1, 1, 1, 1), end, np.float32) for end in (-1, 1)]
        return [values, *ends]


def row(name: str, *between: str, width: int = 8) -> Chain:
    """One row as a node leaves it, and element-wise nodes behind it."""
    chain = Chain.start(1, width // 2 if name == "DepthToSpace" else width).leave(name)
    for other in between:
        chain.behind(other)
    return chain


def column(height: int) -> Chain:
    """A Concat of one column."""
    return Chain.start(height, 1).leave("Concat")


def mean() -> Chain:
    """The mean of a picture: one pixel."""
    return Chain.start(3, 6).window("AvgPool", (3, 6), valid=True)


def depthwise(width: int) -> Chain:
    """A depthwise convolution: the rows begin where its windows do."""
    return Chain.start(4, 8).window("Depthwise", (3, width))


SHORT = {
    "transposed convolution, depthwise": lambda: row("DepthToSpace").window("Depthwise", (3, 5)),
    "DepthToSpace, convolution": lambda: row("DepthToSpace").window("", (3, 3)),
    "DepthToSpace, Tanh, depthwise": lambda: row("DepthToSpace", "Tanh").window(
        "Depthwise", (3, 3)
    ),
    "DepthToSpace, Add, depthwise": lambda: row("DepthToSpace", "Add").window("Depthwise", (2, 3)),
    "DepthToSpace, PRelu, Neg": lambda: row("DepthToSpace", "PRelu", "Neg").window(
        "Depthwise", (3, 7)
    ),
    "BatchToSpace, depthwise": lambda: row("BatchToSpace").window("Depthwise", (3, 3)),
    "mean of a row, depthwise": lambda: row("AvgPool").window("Depthwise", (3, 3)),
    "mean of a row, convolution": lambda: row("AvgPool").window("", (3, 3)),
    "mean of all, depthwise": lambda: mean().window("Depthwise", (3, 5)),
    "mean of all, PRelu": lambda: mean().behind("PRelu"),
    "Concat of a row, depthwise": lambda: row("Concat").window("Depthwise", (2, 3)),
    "Concat of a row, Split, convolution": lambda: row("Concat", "Split").window("", (1, 3)),
    "Concat of a row, maximum": lambda: row("Concat").window("MaxPool", (1, 3)),
    "Concat of a column, convolution": lambda: column(4).window("", (3, 3)),
    "Concat of a column, depthwise": lambda: column(4).window("Depthwise", (3, 3)),
    "Concat of a column, maximum": lambda: column(4).window("MaxPool", (3, 3)),
    "depthwise, Split, maximum": lambda: depthwise(5).behind("Split").window("MaxPool", (3, 3)),
}
"""What the library fails to execute, or returns wrong values for."""

ENOUGH = {
    "DepthToSpace, 1 x 3": lambda: row("DepthToSpace").window("", (1, 3)),
    "DepthToSpace, maximum": lambda: row("DepthToSpace").window("MaxPool", (3, 3)),
    "DepthToSpace of width 6": lambda: row("DepthToSpace", width=6).window("Depthwise", (2, 3)),
    "BatchToSpace, mean": lambda: row("BatchToSpace").window("AvgPool", (3, 3)),
    "maximum of a row, depthwise": lambda: row("MaxPool").window("Depthwise", (3, 7)),
    "mean of all, convolution": lambda: mean().window("", (1, 3)),
    "mean of all, maximum": lambda: mean().window("MaxPool", (3, 3)),
    "Concat of a row, mean": lambda: row("Concat").window("AvgPool", (3, 3)),
    "Concat of a column, mean": lambda: column(4).window("AvgPool", (3, 3)),
    "Concat of a column, PRelu": lambda: column(4).behind("PRelu"),
    "depthwise, Split, mean": lambda: depthwise(5).behind("Split").window("AvgPool", (3, 3)),
}
"""What it runs as it is meant."""
