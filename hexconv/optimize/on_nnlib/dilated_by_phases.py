"""Dilated convolutions without the library's slow moves.

QuantizedDilatedConv2d becomes SpaceToBatch, convolution and BatchToSpace, and where these pad or
crop they go pixel by pixel: 382 k packets around a convolution of 57 k (1 x 2048 x 32, five taps,
dilation 6). Padded before and sliced behind, the same moves are plain transposes: 8 k. Where the
dilation is small, zeros between the taps are cheaper still than any move.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hexconv.lowering.builder import MINMAX
from hexconv.nnlib.graph import Array, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.optimize.on_nnlib.edit import Editor
from hexconv.optimize.registry import Stage, rewrite

OP = "QuantizedDilatedConv2d_8x8p32to8"
# Measured with `hexconv device profile` on the v60 library: packets a padded multiply-accumulate,
# and packets an element (depth rounded up to 32) of all the moves together.
PER_MAC, PER_MOVE = 0.0055, 0.18
DENSE_WORTH = 1.6
"""A dense kernel may cost this much more: it is one node instead of nine, and moves no bytes."""
FLAT_DILATION = 5
"""From this dilation on prepare leaves SpaceToBatch flat; below, a reshape in front keeps it so
(prepare.c check_batchop_ok_for_d32)."""


@rewrite(Stage.NNLIB)
def dilated_by_phases(graph: Graph) -> int:
    """A dilated convolution is one a phase, padded before and cut behind, or one with zeros."""
    editor = Editor(graph)
    nodes: list[Node] = []
    count = 0
    for node in graph.nodes:
        if node.op != OP:
            nodes.append(node)
            continue
        plan = _Plan(node, editor)
        nodes += plan.dense() if plan.dense_is_better() else plan.phases()
        count += 1
    graph.nodes[:] = nodes
    return count


class _Plan:
    """One dilated convolution taken apart."""

    def __init__(self, node: Node, editor: Editor) -> None:
        self.node, self.editor = node, editor
        self.data, weights, self.bias, self.low, self.high = node.inputs[:5]
        self.limits = node.inputs[5:7]
        self.bias_limits, self.stride = node.inputs[7:9], node.inputs[9]
        dilation, self.requested = node.inputs[10], node.inputs[11:]
        kernel, steps = editor.const(weights), editor.const(dilation)
        assert kernel is not None and steps is not None  # the library wants both constant
        self.kernel: Array = kernel
        self.dilation = [int(step) for step in steps.reshape(-1)]
        self.weights = weights
        self.shape = editor.shape(self.data)
        self.result = node.outputs[0].shape
        reach = [
            (size - 1) * step for size, step in zip(kernel.shape[:2], self.dilation, strict=True)
        ]
        same = node.padding is Padding.SAME
        self.before = [extent // 2 if same else 0 for extent in reach]
        self.reach: list[int] = [int(extent) for extent in reach]

    def dense_is_better(self) -> bool:
        """Whether zeros between the taps cost hardly more than the moves."""
        inputs, outputs = int(self.kernel.shape[2]), int(self.kernel.shape[3])
        pixels = self.result[0] * self.result[1] * self.result[2]
        lanes = -(-inputs // 32) * 32
        per_tap = pixels * lanes * (-(-outputs // 32) * 32) * PER_MAC
        dense = (self.reach[0] + 1) * (self.reach[1] + 1) * per_tap
        taps = int(self.kernel.shape[0] * self.kernel.shape[1])
        return dense <= DENSE_WORTH * (taps * per_tap + pixels * lanes * PER_MOVE)

    def dense(self) -> list[Node]:
        """One Supernode with a kernel of zeros between the taps."""
        low, high = (self.editor.const(ref) for ref in self.limits)
        assert low is not None and high is not None
        span = float(high.flat[0]) - float(low.flat[0])
        zero = round(-float(low.flat[0]) * 255.0 / span)
        wide = (self.reach[0] + 1, self.reach[1] + 1, *self.kernel.shape[2:])
        codes = np.full(wide, zero, np.uint8)
        codes[:: self.dilation[0], :: self.dilation[1]] = self.kernel
        weights = self.editor.add_const(f"{self.node.name}/dense", codes)
        return [self._convolution(self.data, self.low, self.high, weights, self.node.padding)]

    def phases(self) -> list[Node]:
        """Pad, SpaceToBatch, Supernode, BatchToSpace, Slice; what does nothing is left out."""
        batch, _, _, depth = self.shape
        block = self.dilation
        counts = self.result[1:3]
        total = [
            -(-(count + reach) // step) * step
            for count, reach, step in zip(counts, self.reach, block, strict=True)
        ]
        made: list[Node] = []
        data = self.data
        if max(block) < FLAT_DILATION:
            shape = self._ints("flat_shape", self.shape)
            data = self._move(made, "QuantizedReshape", data, [shape], self.shape, "flat")
        sides = [
            (lead, whole - size - lead)
            for lead, whole, size in zip(self.before, total, self.shape[1:3], strict=True)
        ]
        padded: Shape4 = (batch, total[0], total[1], depth)
        if padded != self.shape:
            data = self._pad(made, data, sides, padded)
        phase = batch * block[0] * block[1]
        rows, columns = total[0] // block[0], total[1] // block[1]
        blocks, none = self._ints("block", block), self._pairs("no_pads", [(0, 0), (0, 0)])
        data = self._move(
            made, "SpaceToBatchND_8", data, [blocks, none], (phase, rows, columns, depth), "phases"
        )
        height, width = self.kernel.shape[:2]
        inner: Shape4 = (phase, rows - height + 1, columns - width + 1, self.result[3])
        conv = self._convolution(
            data, Ref(data.node, 1), Ref(data.node, 2), self.weights, Padding.VALID
        )
        conv = self._remembered(
            replace(
                conv,
                id=self.editor.new_id(),
                name=self.editor.unique(f"{self.node.name}/conv"),
                outputs=(Output(inner, "uint8"), *MINMAX),
                origin=None,
            )
        )
        made.append(conv)
        whole: Shape4 = (batch, inner[1] * block[0], inner[2] * block[1], self.result[3])
        data = self._move(
            made, "BatchToSpaceND_8", Ref(conv.id), [blocks, none], whole, "joined"
        )
        if whole != self.result:
            begin, size = self._ints("begin", (0, 0, 0, 0)), self._ints("size", self.result)
            self._move(made, "QuantizedSlice_8", data, [begin, size], self.result, "cut")
        last = made.pop()
        return [*made, replace(last, id=self.node.id, name=self.node.name, origin=self.node.origin)]

    def _convolution(
        self, data: Ref, low: Ref, high: Ref, weights: Ref, padding: Padding
    ) -> Node:
        inputs = (
            data, weights, low, high, *self.limits, self.stride, self.bias, *self.bias_limits,
            *self.requested,
        )
        return replace(self.node, op="Supernode_8x8p32to8", inputs=inputs, padding=padding)

    def _pad(
        self, made: list[Node], data: Ref, sides: list[tuple[int, int]], shape: Shape4
    ) -> Ref:
        pads = self._pairs("paddings", [(0, 0), *sides, (0, 0)])
        low, high = self._limits(data)
        return self._append(made, "QuantizedPad_8", (data, low, high, pads), shape, "padded")

    def _move(
        self, made: list[Node], op: str, data: Ref, consts: list[Ref], shape: Shape4, label: str
    ) -> Ref:
        """A node of (data, consts..., min, max) that keeps its input's range."""
        low, high = self._limits(data)
        return self._append(made, op, (data, *consts, low, high), shape, label)

    def _limits(self, data: Ref) -> tuple[Ref, Ref]:
        if data == self.data:
            return self.low, self.high
        return Ref(data.node, 1), Ref(data.node, 2)

    def _append(
        self, made: list[Node], op: str, inputs: tuple[Ref, ...], shape: Shape4, label: str
    ) -> Ref:
        node = Node(
            id=self.editor.new_id(),
            name=self.editor.unique(f"{self.node.name}/{label}"),
            op=op,
            inputs=inputs,
            outputs=(Output(shape, "uint8"), *MINMAX),
            onnx_node=self.node.onnx_node,
        )
        made.append(self._remembered(node))
        return Ref(node.id)

    def _remembered(self, node: Node) -> Node:
        self.editor.remember(node)
        return node

    def _ints(self, label: str, values: tuple[int, ...] | list[int]) -> Ref:
        return self.editor.add_ints(f"{self.node.name}/{label}", values)

    def _pairs(self, label: str, pairs: list[tuple[int, int]]) -> Ref:
        array = np.asarray(pairs, np.int32)[None, None]
        return self.editor.add_const(f"{self.node.name}/{label}", array)
