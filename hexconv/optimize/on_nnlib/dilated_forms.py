"""The forms of a dilated convolution: zeros between its taps, or phases as batches.

With a dilation of a x b, every a-th column is a signal of its own, in which the dilation is b.
SpaceToBatch makes batches of these signals and BatchToSpace undoes it. In d32 each takes blocks of
up to 4 columns, pads and crops included, so that a dilation of 12 is phases of 4, then of 3; the
flat ops take any block, but work pixel by pixel where they pad or crop (382 k packets around a
convolution of 57 k), so that padding and cropping are separate nodes around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.nnlib.graph import Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4

OP, SUPERNODE = "QuantizedDilatedConv2d_8x8p32to8", "Supernode_8x8p32to8"
WIDEST = 4
"""Columns of a block that the d32 ops support (prepare.c check_batchop_ok_for_d32)."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class DilatedForm:
    """A way to compute a dilated convolution.

    Args:
        blocks: rows and columns of the blocks that become batches, one after the other.
        padded: whether the padding is a separate node.
    """

    blocks: tuple[Pair, ...] = ()
    padded: bool = False

    @property
    def phases(self) -> Pair:
        """Rows and columns of all blocks together."""
        return prod(h for h, _ in self.blocks), prod(w for _, w in self.blocks)

    @property
    def deep(self) -> bool:
        """Whether the d32 ops support all blocks."""
        return all(width <= WIDEST for _, width in self.blocks)


def forms(taps: int, dilation: Pair, *, deep: bool) -> list[DilatedForm]:
    """All forms worth considering.

    Args:
        taps: columns of the kernel.
        dilation: of rows and columns.
        deep: whether the node that computes the input works in d32.
    """
    found: list[DilatedForm] = []
    for rows in sorted({1, dilation[0]}):
        for columns in _divisors(dilation[1]):
            rest = dilation[1] // columns
            if rest > 1 and (taps - 1) * rest >= WIDEST_KERNEL:
                continue
            if rows * columns == 1:
                found.append(DilatedForm())
                continue
            for first, *others in _parts(columns):
                blocks = ((rows, first), *((1, other) for other in others))
                found.append(DilatedForm(blocks, not deep or first > WIDEST))
    return found


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _parts(columns: int) -> Sequence[tuple[int, ...]]:
    """A block as it is, and as two that the d32 ops support."""
    pairs = [(columns // part, part) for part in range(WIDEST, 1, -1) if columns % part == 0]
    deep = [pair for pair in pairs if columns > WIDEST and pair[0] <= WIDEST]
    return [(columns,), *deep[:1]]


class Expansion:
    """One QuantizedDilatedConv2d, expanded in its forms."""

    def __init__(self, builder: Builder, node: Node) -> None:
        self.node, self.builder = node, builder
        self.data, self.weights, self.bias, self.low, self.high = node.inputs[:5]
        self.limits = node.inputs[5:7]
        self.bias_limits, self.stride = node.inputs[7:9], node.inputs[9]
        dilation, self.requested = node.inputs[10], node.inputs[11:]
        kernel, steps = builder.values(self.weights), builder.values(dilation)
        assert kernel is not None and steps is not None  # the library requires both constant
        self.kernel: Array = kernel
        self.dilation: Pair = (int(steps.flat[0]), int(steps.flat[1]))
        self.shape = builder.shape(self.data)
        self.result = node.outputs[0].shape
        self.reach: Pair = (
            (int(kernel.shape[0]) - 1) * self.dilation[0],
            (int(kernel.shape[1]) - 1) * self.dilation[1],
        )

    def nodes(self, form: DilatedForm) -> list[Node]:
        """The convolution in a form; its last node has the id of the original."""
        rows, columns = (d // p for d, p in zip(self.dilation, form.phases, strict=True))
        weights = self._spread(rows, columns)
        if not form.blocks:
            return [self._convolution(self.data, self.low, self.high, weights, self.node.padding)]
        total = [
            -(-(count + reach) // step) * step
            for count, reach, step in zip(self.result[1:3], self.reach, form.phases, strict=True)
        ]
        made: list[Node] = []
        data = self._phases(made, form, total)
        conv = self._convolution(data, Ref(data.node, 1), Ref(data.node, 2), weights, Padding.VALID)
        b, h, w, _ = self.builder.shape(data)
        inner: Shape4 = (
            b,
            h - self.reach[0] // form.phases[0],
            w - self.reach[1] // form.phases[1],
            self.result[3],
        )
        outputs = (Output(inner, "uint8"), *RANGE_OUTPUTS)
        name = f"{self.node.name}/conv"
        conv = self.builder.copy(conv, name=name, outputs=outputs, origin=None)
        made.append(conv)
        self._joined(made, form, Ref(conv.id))
        last = made.pop()
        return [*made, replace(last, id=self.node.id, name=self.node.name, origin=self.node.origin)]

    def _phases(self, made: list[Node], form: DilatedForm, total: Sequence[int]) -> Ref:
        """The input padded to `total` rows and columns, its phases as batches."""
        same = self.node.padding is Padding.SAME
        before = [reach // 2 if same else 0 for reach in self.reach]
        sides = [
            (lead, whole - size - lead)
            for lead, whole, size in zip(before, total, self.shape[1:3], strict=True)
        ]
        batch, _, _, depth = self.shape
        data = self.data
        if form.padded and (batch, *total, depth) != self.shape:
            pads = self._pairs("paddings", [(0, 0), *sides, (0, 0)])
            limits = self._limits(data)
            padded: Shape4 = (batch, total[0], total[1], depth)
            data = self._add(made, "QuantizedPad_8", (data, *limits, pads), padded, "padded")
            sides = [(0, 0), (0, 0)]
        h, w = total
        for rows, columns in form.blocks:
            batch, h, w = batch * rows * columns, h // rows, w // columns
            consts = self._block(rows, columns), self._pairs("pads", sides)
            data = self._move(made, "SpaceToBatchND_8", data, consts, (batch, h, w, depth))
            sides = [(0, 0), (0, 0)]
        return data

    def _joined(self, made: list[Node], form: DilatedForm, data: Ref) -> None:
        """The phases merged again, and the surplus cropped."""
        batch, h, w, depth = self.builder.shape(data)
        none = [(0, 0), (0, 0)]
        for index, (rows, columns) in reversed(list(enumerate(form.blocks))):
            batch, h, w = batch // (rows * columns), h * rows, w * columns
            crops = none
            if index == 0 and form.deep:
                crops = [(0, h - self.result[1]), (0, w - self.result[2])]
                h, w = self.result[1:3]
            consts = self._block(rows, columns), self._pairs("crops", crops)
            data = self._move(made, "BatchToSpaceND_8", data, consts, (batch, h, w, depth))
        if self.builder.shape(data) != self.result:
            begin = self.builder.ints(f"{self.node.name}/begin", (0, 0, 0, 0))
            size = self.builder.ints(f"{self.node.name}/size", self.result)
            self._move(made, "QuantizedSlice_8", data, (begin, size), self.result)

    def _spread(self, rows: int, columns: int) -> Ref:
        """The kernel with zeros between its taps."""
        if (rows, columns) == (1, 1):
            return self.weights
        low, high = (self.builder.values(ref) for ref in self.limits)
        assert low is not None and high is not None
        value_range = float(high.flat[0]) - float(low.flat[0])
        zero = round(-float(low.flat[0]) * 255.0 / value_range)
        height, width = (
            (k - 1) * d + 1 for k, d in zip(self.kernel.shape[:2], (rows, columns), strict=True)
        )
        codes = np.full((height, width, *self.kernel.shape[2:]), zero, np.uint8)
        codes[::rows, ::columns] = self.kernel
        return self.builder.const(f"{self.node.name}/dense", codes)

    def _convolution(self, data: Ref, low: Ref, high: Ref, weights: Ref, padding: Padding) -> Node:
        inputs = (
            data,
            weights,
            low,
            high,
            *self.limits,
            self.stride,
            self.bias,
            *self.bias_limits,
            *self.requested,
        )
        return replace(self.node, op=SUPERNODE, inputs=inputs, padding=padding)

    def _limits(self, data: Ref) -> tuple[Ref, Ref]:
        if data == self.data:
            return self.low, self.high
        return Ref(data.node, 1), Ref(data.node, 2)

    def _move(
        self, made: list[Node], op: str, data: Ref, consts: tuple[Ref, Ref], shape: Shape4
    ) -> Ref:
        """A node of (data, consts, min, max) that keeps its input's range."""
        return self._add(made, op, (data, *consts, *self._limits(data)), shape, op.split("_")[0])

    def _add(
        self, made: list[Node], op: str, inputs: tuple[Ref, ...], shape: Shape4, label: str
    ) -> Ref:
        node = self.builder.new_node(
            op,
            inputs,
            (Output(shape, "uint8"), *RANGE_OUTPUTS),
            name=f"{self.node.name}/{label}",
            onnx_node=self.node.onnx_node,
        )
        made.append(node)
        return Ref(node.id)

    def _block(self, rows: int, columns: int) -> Ref:
        return self.builder.ints(f"{self.node.name}/block", (rows, columns))

    def _pairs(self, label: str, pairs: Sequence[Pair]) -> Ref:
        array = np.asarray(pairs, np.int32)[None, None]
        return self.builder.const(f"{self.node.name}/{label}", array)
