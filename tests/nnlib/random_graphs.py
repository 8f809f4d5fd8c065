"""Random graphs of the ops that converters emit, the same for the same seed.

The graphs that the shipped v60 library made of them, and its outputs, are recorded in
tests/golden/random_graphs.json.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from hexconv.arrays import Array
from hexconv.nnlib.graph import Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4

SCALAR = Output((1, 1, 1, 1), "float32")
Triple = tuple[Ref, Ref, Ref]


@dataclass
class Builder:
    """Appends consts and nodes as a program would, and remembers the tensors made."""

    consts: list[Const] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    tensors: list[tuple[Triple, Shape4]] = field(default_factory=list)

    def const(self, values: object, dtype: str = "int32") -> Ref:
        """A const, of rank 4 after padding with ones on the left."""
        array = np.asarray(values, dtype)
        array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        made = Const(self._id(), "c", array)
        self.consts.append(made)
        return Ref(made.id)

    def range(self, low: float, high: float) -> list[Ref]:
        """Two float scalars."""
        return [self.const(low, "float32"), self.const(high, "float32")]

    def size(self, height: int, width: int) -> Ref:
        """A stride or window: only its shape is read."""
        made = Const(self._id(), "s", np.zeros((1, height, width, 1), np.uint8), shape_only=True)
        self.consts.append(made)
        return Ref(made.id)

    def append(
        self, op: str, inputs: list[Ref], outputs: list[Output], padding: Padding = Padding.NA
    ) -> Node:
        """A node."""
        node = Node(self._id(), "n", op, tuple(inputs), tuple(outputs), padding)
        self.nodes.append(node)
        return node

    def quantized(
        self,
        op: str,
        inputs: list[Ref],
        shape: Shape4,
        padding: Padding = Padding.NA,
        parts: int = 1,
    ) -> Triple:
        """A node with uint8 outputs and their range; they join the tensors to build upon."""
        data = [Output(shape, "uint8")] * parts
        node = self.append(op, inputs, [*data, SCALAR, SCALAR], padding)
        for port in range(parts):
            data_min_max = Ref(node.id, port), Ref(node.id, parts), Ref(node.id, parts + 1)
            self.tensors.append((data_min_max, shape))
        return self.tensors[-1][0]

    def wide(
        self, op: str, inputs: list[Ref], shape: Shape4, padding: Padding = Padding.NA
    ) -> Triple:
        """A node with an int32 output and its range."""
        node = self.append(op, inputs, [Output(shape, "int32"), SCALAR, SCALAR], padding)
        return Ref(node.id, 0), Ref(node.id, 1), Ref(node.id, 2)

    def graph(self) -> Graph:
        """What has been appended."""
        return Graph("random", self.consts, self.nodes)

    def _id(self) -> int:
        return 0x1001 + len(self.consts) + len(self.nodes)


class Generator:
    """Draws one graph from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.numbers = np.random.RandomState(seed)
        self.made = Builder()

    def graph(self) -> tuple[Graph, list[Array]]:
        """A graph of 3 to 14 ops, and its inputs: values, min, max."""
        shape: Shape4 = (1, 1, self._of(8, 12, 16, 33), self._of(32, 64, 40, 3, 80))
        if self.dice.random() < 0.5:
            shape = (1, self._of(6, 8, 9), self._of(6, 8, 12), self._of(3, 4, 16, 32, 64))
        self.made.quantized("INPUT", [], shape)
        steps = [
            self.convolution,
            self.unary,
            self.binary,
            self.pool,
            self.concat,
            self.split,
            self.move,
            self.expanded,
            self.depthwise,
        ]
        weights = [5, 5, 3, 1, 2, 1, 3, 2, 1]
        for _ in range(self.dice.randint(3, 14)):
            self.dice.choices(steps, weights)[0]()
        results = [self.made.tensors[-1][0]]
        if self.dice.random() < 0.3:
            results.append(self.dice.choice(self.made.tensors)[0])
        self.made.append("OUTPUT", [ref for data_min_max in results for ref in data_min_max], [])
        codes = self.numbers.randint(0, 256, shape).astype(np.uint8)
        feeds = [codes, np.full((1, 1, 1, 1), -1, np.float32), np.full((1, 1, 1, 1), 1, np.float32)]
        return self.made.graph(), feeds

    def _of(self, *choices: int) -> int:
        return self.dice.choice(choices)

    def _tensor(self) -> tuple[Triple, Shape4]:
        return self.dice.choice(self.made.tensors[-3:])

    def _requested(self) -> list[Ref]:
        return self.made.range(-8, 8 * 127 / 128)

    def _weights(self, *shape: int) -> list[Ref]:
        codes = self.numbers.randint(100, 156, shape)
        return [self.made.const(codes, "uint8"), *self.made.range(-1, 127 / 128)]

    def _bias(self, channels: int) -> list[Ref]:
        bias = self.numbers.randint(-(2**23), 2**23, channels)
        return [self.made.const(bias), *self.made.range(-1000, 1000)]

    def convolution(self) -> None:
        """A Supernode, with or without scales or range, or the nodes it is fused from."""
        (x, low, high), (b, h, w, d) = self._tensor()
        kh = self._of(1, 1, 2, 3, 5) if h >= 5 else 1
        kw = self._of(1, 1, 3, 3, 5, 7, 9, 11) if w >= 11 else 1
        sh = self._of(1, 1, 2) if h >= 5 else 1
        sw = self._of(1, 1, 1, 2, 3) if w >= 11 else 1
        padding = self.dice.choice([Padding.SAME, Padding.SAME, Padding.VALID, Padding.SAME_CAFFE])
        channels = self._of(2, 16, 32, 32, 64, 10)
        out: Shape4 = (b, -(-h // sh), -(-w // sw), channels)
        if padding is Padding.VALID:
            out = (b, (h - kh) // sh + 1, (w - kw) // sw + 1, channels)
        weights, stride = self._weights(kh, kw, d, channels), self.made.size(sh, sw)
        inputs = [x, weights[0], low, high, *weights[1:], stride]
        kind = self.dice.choice(["plain", "plain", "scaled", "found", "chain"])
        bias = self._bias(channels)
        if kind == "chain":
            self._chain(inputs, bias, out, padding)
            return
        bounds = self.made.range(-np.inf, np.inf) if kind == "found" else self._requested()
        inputs += [*bias, *bounds]
        if kind == "scaled":
            inputs.append(self._scales(channels))
        self.made.quantized("Supernode_8x8p32to8", inputs, out, padding)

    def _scales(self, channels: int) -> Ref:
        return self.made.const(np.full(channels, 0.5), "float32")

    def _chain(self, inputs: list[Ref], bias: list[Ref], out: Shape4, padding: Padding) -> None:
        acc = self.made.wide("QuantizedConv2d_8x8to32", inputs, out, padding)
        if self.dice.random() < 0.7:
            inputs = [acc[0], bias[0], acc[1], acc[2], *bias[1:]]
            acc = self.made.wide("QuantizedBiasAdd_32p32to32", inputs, out)
        if self.dice.random() < 0.8:
            self.made.quantized("Requantize_32to8", [*acc, *self._requested()], out)
        else:
            self.made.quantized("QuantizeDownAndShrinkRange_32to8", [*acc], out)

    def depthwise(self) -> None:
        """A 3-row depthwise convolution."""
        (x, low, high), shape = self._tensor()
        if shape[1] < 4:
            return
        weights = self._weights(3, self._of(3, 5, 7), shape[3], 1)
        inputs = [x, weights[0], low, high, *weights[1:], self.made.size(1, 1)]
        inputs += [*self._bias(shape[3]), *self._requested()]
        self.made.quantized("DepthwiseSupernode_8x8p32to8", inputs, shape, Padding.SAME)

    def unary(self) -> None:
        """An activation or a change of range."""
        data_min_max, shape = self._tensor()
        op = self.dice.choice(
            [
                "QuantizedRelu_8",
                "QuantizedRelu_8",
                "QuantizedReluX_8",
                "QuantizedClamp_8",
                "QuantizedTanh_8",
                "QuantizedSigmoid_8",
                "QuantizedNeg_8",
                "QuantizedHardSwish_8",
                "QuantizedSoftmax_8",
                "QuantizedPRelu_8",
                "Requantize_8to8",
            ]
        )
        more: list[Ref] = []
        match op:
            case "QuantizedReluX_8" | "QuantizedSoftmax_8":
                more = [self.made.const(1.0, "float32")]
            case "QuantizedClamp_8":
                more = self.made.range(-1, 1)
            case "QuantizedPRelu_8":
                more = [self.made.const(np.full(shape[3], 0.25), "float32")]
            case "Requantize_8to8":
                more = self._requested()
        self.made.quantized(op, [*data_min_max, *more], shape)

    def binary(self) -> None:
        """Arithmetic with another tensor, or with a const that may have to be spread."""
        (x, low, high), shape = self._tensor()
        op = self.dice.choice(
            [
                "QuantizedAdd_8p8to8",
                "QuantizedAdd_8p8to8",
                "QuantizedSub_8p8to8",
                "QuantizedMul_8x8to8",
                "QuantizedMaximum_8",
            ]
        )
        if self.dice.random() < 0.6:
            same = [data_min_max for data_min_max, other in self.made.tensors if other == shape]
            y, y_low, y_high = self.dice.choice(same)
        else:
            b, h, w, d = shape
            spread = self.dice.choice(
                [(1, 1, 1, d), (1, 1, 1, 1), (1, h, 1, d), shape, (b, h, w, 1)]
            )
            y = self.made.const(self.numbers.randint(1, 255, spread), "uint8")
            y_low, y_high = self.made.range(-1, 127 / 128)
        inputs = [x, y, low, high, y_low, y_high, *self._requested()]
        self.made.quantized(op, inputs, shape)

    def pool(self) -> None:
        """Max or mean of windows of 2."""
        data_min_max, (b, h, w, d) = self._tensor()
        if w < 4:
            return
        kh = 2 if h >= 4 else 1
        padding = self.dice.choice([Padding.SAME, Padding.VALID])
        out: Shape4 = (b, -(-h // kh), -(-w // 2), d)
        if padding is Padding.VALID:
            out = (b, h // kh, w // 2, d)
        op = self.dice.choice(["QuantizedMaxPool_8", "QuantizedAvgPool_8"])
        sizes = [self.made.size(kh, 2), self.made.size(kh, 2)]
        self.made.quantized(op, [*data_min_max, *sizes], out, padding)

    def concat(self) -> None:
        """Two or three tensors joined in depth; sometimes one of them twice."""
        _, shape = self._tensor()
        fitting = [item for item in self.made.tensors if item[1][:3] == shape[:3]]
        parts = [self.dice.choice(fitting) for _ in range(self._of(2, 2, 3))]
        inputs = [self.made.const(3)]
        inputs += [data_min_max[i] for i in range(3) for data_min_max, _ in parts]
        depth = sum(part[3] for _, part in parts)
        self.made.quantized("QuantizedConcat_8", inputs, (*shape[:3], depth))

    def split(self) -> None:
        """Halves along an axis."""
        data_min_max, shape = self._tensor()
        axis = self._of(3, 3, 2, 1)
        if shape[axis] % 2:
            return
        b, h, w, d = (n // 2 if i == axis else n for i, n in enumerate(shape))
        inputs = [self.made.const(axis), *data_min_max]
        self.made.quantized("QuantizedSplit_8", inputs, (b, h, w, d), parts=2)

    def move(self) -> None:
        """Ops that move values."""
        (x, low, high), (b, h, w, d) = self._tensor()
        made = self.made
        match self._of(*range(7)):
            case 0:
                made.quantized(
                    "Transpose_8", [x, made.const([0, 2, 1, 3]), low, high], (b, w, h, d)
                )
            case 1:
                shape: Shape4 = (b, 1, h * w, d)
                made.quantized("QuantizedReshape", [x, made.const(shape), low, high], shape)
            case 2:
                deep = self._of(0, 0, 1)
                pads = made.const([[0, 0], [0, 0], [1, 2], [0, deep]])
                made.quantized("QuantizedPad_8", [x, low, high, pads], (b, h, w + 3, d + deep))
            case 3:
                self._to_space()
            case 4:
                self._to_batch()
            case 5:
                size = made.const([h * 2, w * 2])
                shape = (b, h * 2, w * 2, d)
                made.quantized("QuantizedResizeBilinear_8", [x, size, low, high], shape)
            case _:
                inputs = [x, low, high, made.const(3), *self._requested()]
                made.quantized("QuantizedMean_8", inputs, (b, h, w, 1))

    def _to_space(self) -> None:
        (x, low, high), (b, h, w, d) = self._tensor()
        block = self.dice.choice([(1, 2), (2, 2), (1, 4)])
        if d % (block[0] * block[1]) == 0:
            shape = (b, h * block[0], w * block[1], d // (block[0] * block[1]))
            inputs = [x, self.made.const(block), low, high]
            self.made.quantized("DepthToSpace_8", inputs, shape)

    def _to_batch(self) -> None:
        (x, low, high), (b, h, w, d) = self._tensor()
        step = self._of(2, 3, 5)
        if w % step == 0:
            block = [self.made.const([1, step]), self.made.const([[0, 0], [0, 0]])]
            shape = (b * step, h, w // step, d)
            data_min_max = self.made.quantized("SpaceToBatchND_8", [x, *block, low, high], shape)
            back = [data_min_max[0], *block, *data_min_max[1:]]
            self.made.quantized("BatchToSpaceND_8", back, (b, h, w, d))

    def expanded(self) -> None:
        """What prepare expands, and a MatMul that it may fuse."""
        (x, low, high), (b, h, w, d) = self._tensor()
        made = self.made
        match self._of(0, 1, 2, 3):
            case 0:
                stride, channels = self._of(2, 4, 8, 5), self._of(1, 3, 16, 32, 20)
                weights = self._weights(channels, 1, 2 * stride, d)
                pads = made.const([[0, 0], [stride // 2, stride - stride // 2]])
                inputs = [x, weights[0], low, high, *weights[1:], pads, made.size(1, stride)]
                inputs += [*self._bias(channels), *self._requested()]
                shape: Shape4 = (b, h, w * stride, channels)
                made.quantized("QuantizedTransposeConv2d_8x8p32to8", inputs, shape)
            case 1:
                self._sided("Grouped", self._of(16, 64, 128), 1, groups=self._of(2, 4))
            case 2:
                self._sided("Dilated", 32, 3, dilation=self._of(2, 3, 5))
            case _:
                self._matrix()

    def _sided(
        self, kind: str, channels: int, width: int, groups: int = 1, dilation: int = 1
    ) -> None:
        """Grouped and dilated convolutions: their bias comes third."""
        (x, low, high), (b, h, w, d) = self._tensor()
        if d % groups:
            return
        weights, bias = self._weights(1, width, d // groups, channels), self._bias(channels)
        extra = self.made.const(groups) if groups > 1 else self.made.const([1, dilation])
        inputs = [x, weights[0], bias[0], low, high, *weights[1:], *bias[1:]]
        inputs += [self.made.size(1, 1), extra, *self._requested()]
        op = f"Quantized{kind}Conv2d_8x8p32to8"
        self.made.quantized(op, inputs, (b, h, w, channels), Padding.SAME)

    def _matrix(self) -> None:
        (x, low, high), (b, h, w, d) = self._tensor()
        columns = self._of(32, 48, 10)
        if d <= 16 < columns:
            return  # the library mislays such weights: facts, section 4
        shape: Shape4 = (1, 1, b * h * w, columns)
        weights = self._weights(1, 1, d, columns)
        inputs = [x, weights[0], low, high, *weights[1:]]
        acc = self.made.wide("QuantizedMatMul_8x8to32", inputs, shape)
        if self.dice.random() < 0.7:
            bias = self._bias(columns)
            inputs = [acc[0], bias[0], acc[1], acc[2], *bias[1:]]
            acc = self.made.wide("QuantizedBiasAdd_32p32to32", inputs, shape)
        self.made.quantized("Requantize_32to8", [*acc, *self._requested()], shape)
