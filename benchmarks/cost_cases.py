"""Small graphs, one node of interest each, over the sizes that networks have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
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
INFINITE = (-np.inf, np.inf)


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


def unary() -> Iterator[Case]:
    """Elementwise ops, flat and after a node in d32."""
    plain = ["Relu_8", "Tanh_8", "Sigmoid_8", "Neg_8", "Sqrt_8", "Recip_8", "HardSwish_8"]
    for shape, name, deep in product(SHAPES, plain, (False, True)):
        if name in ("Relu_8", "Sqrt_8", "Recip_8", "HardSwish_8") and deep:
            continue

        def build(b: Bench, shape=shape, name=name, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            if name in ("Sqrt_8", "Recip_8"):
                x = (x[0], *b.value_range(0, 2))
            extra = b.value_range(-1, 127 / 128) if name == "HardSwish_8" else ()
            b.add(f"Quantized{name}", [*x, *extra], (shape, "uint8"))

        yield name, build
    for shape, deep in product(SHAPES, (False, True)):

        def softmax(b: Bench, shape=shape, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            b.add("QuantizedSoftmax_8", [*x, b.const(1.0)], (shape, "uint8"))

        def requantize(b: Bench, shape=shape, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            b.add("Requantize_8to8", [*x, *b.value_range(-2, 254 / 128)], (shape, "uint8"))

        yield "softmax", softmax
        yield "requantize", requantize
    for shape in SHAPES:
        yield "rest", lambda b, shape=shape: _flat_unary(b, shape)


def _flat_unary(b: Bench, shape: tuple[int, ...]) -> None:
    x = b.feed(shape)
    b.add("QuantizedReluX_8", [*x, b.const(0.5)], (shape, "uint8"))
    b.add("QuantizedClamp_8", [*x, b.const(-0.25), b.const(0.5)], (shape, "uint8"))
    wide, *_ = b.add("CastUInt8ToInt32", [x[0]], (shape, "int32"), ranged=False)
    table = b.const(RNG.integers(0, 256, (1, 1, 1, 256)), "uint8")
    b.add("Table_8", [wide, table, *b.value_range()], (shape, "uint8"))
    b.add("Gather_8", [wide, table, *b.value_range()], (shape, "uint8"))
    b.add("Dequantize", list(x), (shape, "float32"), ranged=False)
    real, *_ = b.feed(shape, "float32")
    b.add("Quantize", [real, *b.value_range()], (shape, "uint8"))
    whole = b.feed(shape, "int32")
    b.add("Requantize_32to8", [*whole, *b.value_range(-1e-6, 1e-6)], (shape, "uint8"))
    b.add("L2Normalize_8", [*x, b.const([3], "int32")], (shape, "uint8"))
    b.add("QuantizedInstanceNorm_8", list(x), (shape, "uint8"))
    gain, bias = b.weights((1, 1, 1, shape[3])), b.const(np.ones((1, 1, 1, shape[3])), "int32")
    b.add(
        "QuantizedBatchNorm_8x8p32to8",
        [
            x[0],
            gain[0],
            x[1],
            x[2],
            gain[1],
            gain[2],
            bias,
            *b.value_range(-131072, 131071),
            *b.value_range(-2, 254 / 128),
        ],
        (shape, "uint8"),
    )


def binary() -> Iterator[Case]:
    """Two operands, equal or broadcast, each flat or in d32."""
    ops = ["Add_8p8to8", "Sub_8p8to8", "Mul_8x8to8", "Maximum_8", "Minimum_8"]
    for shape, op, kind in product(SHAPES, ops, ("same", "depth", "row", "scalar", "d32", "const")):
        spread = {"depth": (1, 1, 1, shape[3]), "row": (*shape[:3], 1), "scalar": (1, 1, 1, 1)}
        second = spread.get(kind, shape)
        if op in ("Maximum_8", "Minimum_8") and kind not in ("same", "depth"):
            continue

        def build(b: Bench, shape=shape, op=op, kind=kind, second=second) -> None:
            x = b.d32(shape) if kind == "d32" else b.feed(shape)
            fixed = kind in ("depth", "scalar", "const")
            y = b.weights(second) if fixed else b.feed(second)
            b.add(
                f"Quantized{op}",
                [x[0], y[0], x[1], x[2], y[1], y[2], *b.value_range(-2, 254 / 128)],
                (shape, "uint8"),
            )

        yield op, build
    for shape, per_depth in product(SHAPES[:10], (False, True)):

        def divide(b: Bench, shape=shape, per_depth=per_depth) -> None:
            x = b.feed(shape)
            y = b.const(RNG.integers(100, 256, (1, 1, 1, shape[3] if per_depth else 1)), "uint8")
            low, high = b.value_range(0, 2)
            inputs = [x[0], y, x[1], x[2], low, high, *b.value_range(-2, 2)]
            b.add("QuantizedDiv_8", inputs, (shape, "uint8"))

        yield "div", divide


def reductions() -> Iterator[Case]:
    """Mean and Sum over one or two axes, ArgMax."""
    for shape, axes in product(SHAPES, ([3], [1, 2], [2], [1])):

        def mean(b: Bench, shape=shape, axes=axes) -> None:
            left = tuple(1 if i in axes else size for i, size in enumerate(shape))
            x, over = b.feed(shape), b.const(axes, "int32")
            b.add("QuantizedMean_8", [*x, over, *b.value_range()], (left, "uint8"))
            b.add("QuantizedSum_8to32", [*x, over], (left, "int32"))

        yield "mean", mean
    for shape in SHAPES:
        yield (
            "argmax",
            lambda b, shape=shape: b.add(
                "ArgMax_8toInt32",
                [(x := b.feed(shape))[0], b.const([3], "int32"), *x[1:]],
                ((*shape[:3], 1), "int32"),
                ranged=False,
            ),
        )


PERMS = [
    [0, 2, 1, 3],
    [0, 1, 3, 2],
    [0, 3, 1, 2],
    [0, 2, 3, 1],
    [0, 3, 2, 1],
    [2, 1, 0, 3],
]
HEADS = [
    (1, 144, 4, 64),
    (1, 48, 4, 36),
    (1, 4, 48, 36),
    (1, 4, 144, 64),
    (1, 12, 2, 32),
    (1, 40, 144, 1),
    (1, 80, 100, 1),
    (1, 144, 10, 32),
    (1, 256, 8, 64),
]


def moves() -> Iterator[Case]:
    """Ops that only move data."""
    for shape, perm in product([*SHAPES, *HEADS], PERMS):

        def turn(b: Bench, shape=shape, perm=perm) -> None:
            x = b.feed(shape)
            after = tuple(shape[axis] for axis in perm)
            b.add("Transpose_8", [x[0], b.const(perm, "int32"), *x[1:]], (after, "uint8"))

        yield "transpose", turn
    for shape in SHAPES:
        yield "moves", lambda b, shape=shape: _moves(b, shape)
    for shape in SHAPES:
        if shape[2] >= 4:
            yield "blocks", lambda b, shape=shape: _blocks(b, shape)
    for shape, scale in product(SHAPES[8:12], (2, 3, 4)):

        def resize(b: Bench, shape=shape, scale=scale) -> None:
            after = (shape[0], shape[1] * scale, shape[2] * scale, shape[3])
            x, size = b.feed(shape), b.const(after[1:3], "int32")
            b.add("ResizeNearestNeighbor_8", [x[0], size, *x[1:]], (after, "uint8"))
            b.add("QuantizedResizeBilinear_8", [x[0], size, *x[1:]], (after, "uint8"))

        yield "resize", resize


def _moves(b: Bench, shape: tuple[int, ...]) -> None:
    x = b.feed(shape)
    n, h, w, d = shape
    flat = (1, 1, 1, n * h * w * d)
    b.add("QuantizedReshape", [x[0], b.const(flat, "int32"), *x[1:]], (flat, "uint8"))
    for cut in ((n, h, max(1, w // 2), d), (n, h, w, max(1, d // 2)), (n, h, max(1, w - 1), d)):
        begin = b.const([0, 0, 0, 0], "int32")
        b.add("QuantizedSlice_8", [x[0], begin, b.const(cut, "int32"), *x[1:]], (cut, "uint8"))
        step = [b.const(v, "int32") for v in ([0] * 4, cut, [1] * 4, 0, 0, 0)]
        b.add("QuantizedStridedSlice_8", [x[0], *step, *x[1:]], (cut, "uint8"))
    for pads in ((0, 0, 0, 0, 3, 3, 0, 0), (0, 0, 1, 1, 1, 1, 0, 0), (0, 0, 0, 0, 0, 0, 0, 16)):
        after = tuple(size + sum(pads[2 * i : 2 * i + 2]) for i, size in enumerate(shape))
        amounts = b.const(np.reshape(pads, (1, 1, 4, 2)), "int32")
        b.add("QuantizedPad_8", [*x, amounts], (after, "uint8"))
    b.add(
        "QuantizedTile_8",
        [x[0], b.const([1, 1, 2, 1], "int32"), *x[1:]],
        ((n, h, 2 * w, d), "uint8"),
    )
    y = b.d32(shape)
    amounts = b.const(np.reshape((0, 0, 0, 0, 3, 3, 0, 0), (1, 1, 4, 2)), "int32")
    b.add("QuantizedPad_8", [*y, amounts], ((n, h, w + 6, d), "uint8"))


def _blocks(b: Bench, shape: tuple[int, ...]) -> None:
    n, h, w, d = shape
    for block in ((1, 2), (1, 4)):
        x = b.feed(shape)
        if w % block[1] == 0:
            after = (n, h, w // block[1], d * block[1])
            b.add("SpaceToDepth_8", [x[0], b.const(block, "int32"), *x[1:]], (after, "uint8"))
        if d % block[1] == 0:
            after = (n, h, w * block[1], d // block[1])
            b.add("DepthToSpace_8", [x[0], b.const(block, "int32"), *x[1:]], (after, "uint8"))
    for rate, deep in ((2, False), (3, False), (5, False), (2, True), (3, True)):
        x = b.d32(shape) if deep else b.feed(shape)
        pad = -w % rate
        inner = (n * rate, h, (w + pad) // rate, d)
        block = b.const([1, rate], "int32")
        pads = b.const(np.reshape((0, 0, 0, pad), (1, 1, 2, 2)), "int32")
        y = b.add("SpaceToBatchND_8", [x[0], block, pads, *x[1:]], (inner, "uint8"))
        b.add("BatchToSpaceND_8", [y[0], block, pads, *y[1:]], (shape, "uint8"))


def joins() -> Iterator[Case]:
    """Concat and Split."""
    for shape, axis, alike, deep in product(SHAPES, (1, 2, 3), (False, True), (False, True)):

        def concat(b: Bench, shape=shape, axis=axis, alike=alike, deep=deep) -> None:
            x = b.d32(shape) if deep else b.feed(shape)
            y = b.feed(shape)
            after = tuple(2 * size if i == axis else size for i, size in enumerate(shape))
            second = b.value_range() if alike else b.value_range(-2, 254 / 128)
            inputs = [b.const(axis, "int32"), x[0], y[0], x[1], second[0], x[2], second[1]]
            b.add("QuantizedConcat_8", inputs, (after, "uint8"))

        yield "concat", concat
    for shape, axis, parts in product(SHAPES, (2, 3), (2, 4)):
        if shape[axis] % parts:
            continue

        def split(b: Bench, shape=shape, axis=axis, parts=parts) -> None:
            part = tuple(size // parts if i == axis else size for i, size in enumerate(shape))
            x = b.feed(shape)
            b.add("QuantizedSplit_8", [b.const(axis, "int32"), *x], *[(part, "uint8")] * parts)

        yield "split", split


CONVS = [
    # H, W, Cin, Cout, kh, kw, stride_h, stride_w
    *[
        (1, 144, k, n, 1, 1, 1, 1)
        for k, n in (
            (256, 256),
            (256, 64),
            (256, 1024),
            (1024, 256),
            (320, 256),
            (256, 287),
            (144, 576),
            (256, 1),
            (64, 64),
            (32, 32),
            (80, 512),
        )
    ],
    *[(1, w, 256, 256, 1, 1, 1, 1) for w in (1, 5, 12, 48, 100, 200, 500, 1000)],
    *[
        (1, w, c, c, 1, k, 1, 1)
        for w, c, k in (
            (200, 64, 3),
            (400, 64, 7),
            (800, 32, 11),
            (1600, 16, 3),
            (1600, 16, 7),
            (128, 128, 5),
            (128, 144, 15),
            (512, 128, 3),
            (4000, 8, 7),
        )
    ],
    (1, 200, 80, 256, 1, 7, 1, 1),
    (1, 4000, 16, 1, 1, 7, 1, 1),
    (144, 1, 256, 256, 1, 1, 1, 1),
    (144, 40, 1, 32, 3, 3, 1, 2),
    (144, 20, 32, 32, 3, 3, 1, 2),
    (48, 40, 1, 16, 3, 3, 1, 2),
    (28, 28, 32, 64, 3, 3, 1, 1),
    (28, 28, 64, 64, 3, 3, 2, 2),
    (56, 56, 24, 144, 1, 1, 1, 1),
    (14, 14, 96, 576, 1, 1, 1, 1),
    (14, 14, 576, 96, 1, 1, 1, 1),
    (7, 7, 320, 1280, 1, 1, 1, 1),
    (64, 64, 3, 32, 3, 3, 2, 2),
    (64, 64, 3, 64, 7, 7, 2, 2),
    (32, 32, 16, 16, 5, 5, 1, 1),
    (32, 32, 48, 96, 3, 3, 1, 1),
    (16, 16, 256, 256, 3, 3, 1, 1),
    (56, 56, 64, 128, 1, 1, 2, 2),
    *[
        (size, size, c, n, k, k, s, s)
        for size, c, n, k, s in (
            (96, 3, 16, 3, 2),
            (48, 3, 16, 3, 2),
            (32, 3, 48, 3, 1),
            (24, 1, 32, 3, 1),
            (40, 4, 24, 5, 2),
            (28, 1, 8, 5, 1),
            (128, 3, 32, 3, 2),
            (16, 3, 64, 3, 1),
            (64, 3, 24, 7, 2),
            (32, 2, 96, 1, 1),
            (20, 3, 33, 4, 2),
        )
    ],
    *[
        (1, w, c, n, 1, k, 1, 1)
        for w, c, n, k in ((100, 1, 32, 3), (400, 2, 64, 7), (1000, 4, 16, 5), (144, 3, 144, 3))
    ],
    *[
        (size, size, c, n, 1, 1, 1, 1)
        for size, c, n in (
            (48, 16, 64),
            (48, 16, 16),
            (24, 24, 96),
            (12, 40, 160),
            (16, 8, 8),
            (28, 12, 33),
        )
    ],
    (20, 20, 24, 48, 3, 3, 1, 1),
    (24, 24, 16, 16, 3, 3, 1, 1),
    (16, 16, 8, 32, 3, 3, 2, 2),
    (1, 144, 64, 128, 1, 3, 1, 2),
    (1, 144, 96, 33, 1, 4, 1, 4),
    (10, 144, 32, 256, 10, 1, 1, 1),
]


IMAGES = [
    # H, W, Cin, Cout, kernel, stride: networks for images, and the same rows laid out along W
    (112, 112, 32, 16, 1, 1),
    (56, 56, 96, 24, 1, 1),
    (28, 28, 144, 32, 1, 1),
    (28, 28, 32, 192, 1, 1),
    (14, 14, 192, 64, 1, 1),
    (14, 14, 64, 384, 1, 1),
    (14, 14, 384, 96, 1, 1),
    (7, 7, 576, 160, 1, 1),
    (7, 7, 160, 960, 1, 1),
    (7, 7, 960, 320, 1, 1),
    (56, 56, 64, 64, 3, 1),
    (56, 56, 64, 256, 1, 1),
    (56, 56, 256, 64, 1, 1),
    (28, 28, 128, 128, 3, 1),
    (14, 14, 1024, 256, 1, 1),
    (14, 14, 256, 1024, 1, 1),
    (7, 7, 512, 512, 3, 1),
    (7, 7, 2048, 512, 1, 1),
    (56, 56, 64, 128, 3, 2),
    (28, 28, 128, 256, 3, 2),
    (40, 40, 96, 96, 3, 1),
    (20, 20, 192, 192, 3, 1),
    (24, 48, 40, 80, 5, 2),
    (1, 49, 160, 960, 1, 1),
    (1, 49, 320, 1280, 1, 1),
    (1, 196, 64, 384, 1, 1),
    (1, 196, 96, 576, 1, 1),
    (1, 196, 576, 96, 1, 1),
    (1, 784, 32, 192, 1, 1),
    (1, 3136, 24, 144, 1, 1),
    (2, 72, 256, 256, 1, 1),
    (3, 48, 256, 256, 1, 1),
    (4, 36, 256, 256, 1, 1),
    (4, 36, 256, 1024, 1, 1),
    (8, 18, 256, 256, 1, 1),
    (12, 12, 256, 256, 1, 1),
    (12, 12, 256, 1024, 1, 1),
    (3, 100, 64, 64, 1, 1),
    (5, 60, 128, 32, 1, 1),
    (6, 50, 40, 400, 1, 1),
    (4, 4, 32, 32, 1, 1),
    (4, 4, 64, 64, 3, 1),
    (8, 8, 16, 16, 3, 1),
    (8, 8, 128, 128, 1, 1),
    (2, 8, 512, 128, 1, 1),
    (1, 16, 64, 64, 1, 1),
    (1, 4, 32, 32, 1, 1),
    (1, 1, 64, 64, 1, 1),
    (1, 1, 1280, 1000, 1, 1),
    (1, 30, 512, 512, 1, 1),
    (1, 64, 96, 768, 1, 1),
]

FIRST = [
    # H, W, Cin, Cout, kernel height and width, strides: a network's first convolution
    (224, 224, 3, 32, 3, 3, 2, 2),
    (224, 224, 3, 64, 7, 7, 2, 2),
    (224, 224, 3, 16, 3, 3, 2, 2),
    (192, 192, 3, 24, 3, 3, 2, 2),
    (160, 160, 3, 32, 3, 3, 1, 1),
    (112, 112, 3, 32, 3, 3, 2, 2),
    (320, 240, 3, 16, 3, 3, 2, 2),
    (96, 96, 1, 16, 3, 3, 2, 2),
    (98, 40, 1, 64, 8, 4, 2, 2),
    (200, 80, 1, 32, 3, 3, 2, 2),
    (144, 40, 1, 64, 3, 3, 1, 2),
    (300, 64, 1, 32, 5, 5, 2, 2),
    (64, 64, 3, 64, 5, 5, 1, 1),
    (64, 64, 4, 128, 3, 3, 2, 2),
    (48, 48, 3, 96, 11, 11, 4, 4),
    (100, 100, 2, 32, 1, 1, 1, 1),
    (30, 30, 4, 48, 3, 3, 1, 1),
    (1, 1000, 1, 32, 1, 9, 1, 1),
    (1, 2000, 4, 64, 1, 3, 1, 2),
    (1, 400, 2, 128, 1, 15, 1, 1),
]


ROWS = [
    # W, Cin, Cout, kernel: over numbers of rows that divide among four threads and that do not
    (8, 64, 64, 1),
    (14, 128, 96, 1),
    (7, 384, 256, 1),
    (12, 64, 64, 3),
    (7, 256, 160, 3),
]
DEEP = [
    # shapes of one row and of many, as vocoders and networks for images have them
    (1, 1, 16000, 32),
    (1, 1, 4000, 64),
    (1, 1, 1000, 128),
    (1, 1, 250, 256),
    (1, 1, 60, 512),
    (1, 112, 112, 16),
    (1, 56, 56, 64),
    (1, 28, 28, 144),
    (1, 13, 13, 256),
    (1, 7, 7, 512),
]


def rows() -> Iterator[Case]:
    """Convolutions over numbers of rows."""
    for (w, c, n, k), h in product(ROWS, (1, 2, 3, 5, 6, 7, 10, 13, 14)):
        spec = (h, w, c, n, k, k, 1, 1)
        yield f"rows {spec}", lambda b, spec=spec: _conv(b, spec, Padding.SAME)


def deep() -> Iterator[Case]:
    """Ops in d32 on large tensors: activation, concatenation, addition; depthwise in few rows."""
    for shape in DEEP:
        yield f"prelu {shape}", lambda b, shape=shape: _prelu(b, shape)
        yield f"concat {shape}", lambda b, shape=shape: _deep_concat(b, shape)
        yield f"add {shape}", lambda b, shape=shape: _deep_add(b, shape)
    for (h, w), c, k in product(((1, 144), (2, 48), (4, 100)), (64, 256), (3, 5, 7)):
        spec = (h, w, c, c, 3, k, 1, 1)
        yield (
            f"depthwise {spec}",
            lambda b, spec=spec: _conv(b, spec, Padding.SAME, depthwise=True),
        )


def _prelu(b: Bench, shape: tuple[int, ...]) -> None:
    """In the range of its input, and in one of its own."""
    b.add("QuantizedPRelu_8", [*b.d32(shape), b.const(np.full(shape[3], 0.25))], (shape, "uint8"))
    inputs = [*b.d32(shape), *b.weights((1, 1, 1, shape[3])), *b.value_range(-1, 2)]
    b.add("QuantizedPRelu_8_V2", inputs, (shape, "uint8"))


def _deep_concat(b: Bench, shape: tuple[int, ...]) -> None:
    x, y = b.d32(shape), b.d32(shape)
    after = (*shape[:3], 2 * shape[3])
    inputs = [b.const(3, "int32"), x[0], y[0], x[1], y[1], x[2], y[2]]
    b.add("QuantizedConcat_8", inputs, (after, "uint8"))


def _deep_add(b: Bench, shape: tuple[int, ...]) -> None:
    x, y = b.d32(shape), b.d32(shape)
    inputs = [x[0], y[0], x[1], x[2], y[1], y[2], *b.value_range(-2, 254 / 128)]
    b.add("QuantizedAdd_8p8to8", inputs, (shape, "uint8"))


def images() -> Iterator[Case]:
    """Convolutions of networks for images: many rows, many channels; first convolutions."""
    for h, w, c, n, k, s in IMAGES:
        yield (
            f"{h}x{w}x{c} {n} {k}s{s}",
            lambda b, spec=(h, w, c, n, k, k, s, s): _conv(b, spec, Padding.SAME),
        )
    for spec, padding in product(FIRST, (Padding.SAME, Padding.VALID)):
        yield f"first {spec}", lambda b, spec=spec, padding=padding: _conv(b, spec, padding)


def convolutions() -> Iterator[Case]:
    """Supernodes, depthwise, transposed and dilated."""
    for spec, padding in product(CONVS, (Padding.SAME, Padding.VALID)):
        h, w, _, _, kh, kw, _, _ = spec
        if padding is Padding.VALID and ((kh, kw) == (1, 1) or kh > h or kw > w):
            continue
        yield "conv", lambda b, spec=spec, padding=padding: _conv(b, spec, padding)
    sizes = [
        (28, 28, 32),
        (56, 56, 24),
        (14, 14, 96),
        (14, 14, 576),
        (7, 7, 320),
        (1, 144, 256),
        (1, 48, 144),
        (16, 16, 64),
        (112, 112, 16),
    ]
    kernels = [(3, 3, 1), (3, 3, 2), (5, 5, 1), (5, 5, 2), (7, 7, 1), (3, 7, 1), (3, 5, 1)]
    for (h, w, c), (kh, kw, stride) in product(sizes, kernels):
        if h == 1 and stride > 1:
            continue
        yield (
            "depthwise",
            lambda b, s=(h, w, c, c, kh, kw, stride, stride): _conv(
                b, s, Padding.SAME, depthwise=True
            ),
        )
    for w, c, n, k, stride in (
        (100, 64, 32, 4, 2),
        (50, 128, 64, 16, 8),
        (25, 256, 128, 16, 8),
        (200, 32, 16, 8, 4),
        (60, 96, 48, 10, 5),
        (512, 64, 32, 4, 2),
        (1000, 32, 16, 4, 2),
        (64, 256, 128, 8, 4),
    ):
        yield "transposed", lambda b, s=(w, c, n, k, stride): _transposed(b, *s)


def _conv(b: Bench, spec: tuple[int, ...], padding: Padding, *, depthwise: bool = False) -> None:
    h, w, c, n, kh, kw, sh, sw = spec
    x, weights = b.feed((1, h, w, c)), b.weights((kh, kw, c, 1 if depthwise else n))
    bias = b.const(RNG.integers(-999, 999, (1, 1, 1, n)), "int32")
    if padding is Padding.SAME:
        after = (1, -(-h // sh), -(-w // sw), n)
    else:
        after = (1, (h - kh) // sh + 1, (w - kw) // sw + 1, n)
    op = "DepthwiseSupernode_8x8p32to8" if depthwise else "Supernode_8x8p32to8"
    inputs = [x[0], weights[0], x[1], x[2], weights[1], weights[2], b.shape_const(sh, sw), bias]
    inputs += [*b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
    b.add(op, inputs, (after, "uint8"), padding=padding)


def _transposed(b: Bench, w: int, c: int, n: int, k: int, stride: int) -> None:
    x, weights = b.feed((1, 1, w, c)), b.weights((n, 1, k, c))
    cut = (k - stride) // 2
    pads = b.const([[[[0, 0], [cut, k - stride - cut]]]], "int32")
    bias = b.const(np.zeros((1, 1, 1, n)), "int32")
    inputs = [x[0], weights[0], x[1], x[2], weights[1], weights[2], pads, b.shape_const(1, stride)]
    inputs += [bias, *b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
    b.add("QuantizedTransposeConv2d_8x8p32to8", inputs, ((1, 1, w * stride, n), "uint8"))


def products() -> Iterator[Case]:
    """SuperFC, MatMul with a constant, batched MatMul."""
    sizes = [
        (m, k, n)
        for m in (1, 7, 48, 144)
        for k, n in (
            (256, 256),
            (256, 1024),
            (1024, 256),
            (64, 64),
            (320, 256),
            (256, 287),
            (144, 576),
        )
    ]
    for m, k, n in [*sizes, (20, 40, 64), (144, 100, 64), (9, 72, 33)]:
        yield "linear", lambda b, s=(m, k, n): _linear(b, *s)
    for h, m, k, n in product((1, 4, 8), (12, 48, 144), (32, 36, 64, 144), (32, 48, 64, 144, 160)):
        if h == 8 and (m, k) not in ((48, 64), (144, 64)):
            continue

        def batched(b: Bench, h=h, m=m, k=k, n=n) -> None:
            x, y = b.feed((1, h, m, k)), b.feed((1, h, k, n))
            inputs = [x[0], y[0], x[1], x[2], y[1], y[2]]
            b.add("QuantizedBatchMatMul_8x8to32", inputs, ((1, h, m, n), "int32"))

        yield "batched", batched


def _linear(b: Bench, m: int, k: int, n: int) -> None:
    x, w = b.feed((1, 1, m, k)), b.weights((1, 1, k, n))
    inputs = [x[0], w[0], x[1], x[2], w[1], w[2]]
    b.add("QuantizedMatMul_8x8to32", inputs, ((1, 1, m, n), "int32"))
    if k % 16 == 0:
        bias = b.const(RNG.integers(-999, 999, (1, 1, 1, n)), "int32")
        rest = [bias, *b.value_range(-131072, 131071), *b.value_range(-8, 8 * 127 / 128)]
        b.add("SuperFC_8x8p32to8", [*inputs, *rest], ((1, 1, m, n), "uint8"))


def pools() -> Iterator[Case]:
    """MaxPool and AvgPool."""
    windows = [(2, 2, 2, 2), (3, 3, 2, 2), (3, 3, 1, 1), (1, 2, 1, 2), (7, 7, 1, 1), (1, 3, 1, 1)]
    for shape, (kh, kw, sh, sw), op in product(SMALL, windows, ("Max", "Avg")):
        if kh > shape[1] or kw > shape[2]:
            continue

        def pool(b: Bench, shape=shape, win=(kh, kw, sh, sw), op=op) -> None:
            n, h, w, d = shape
            kh, kw, sh, sw = win
            after = (n, (h - kh) // sh + 1, (w - kw) // sw + 1, d)
            x = b.feed(shape)
            inputs = [*x, b.shape_const(kh, kw), b.shape_const(sh, sw)]
            b.add(f"Quantized{op}Pool_8", inputs, (after, "uint8"), padding=Padding.VALID)

        yield "pool", pool


def others() -> Iterator[Case]:
    """The model's float interface, 16-bit conversions, rows of a table."""
    for shape in SHAPES:

        def sixteen(b: Bench, shape=shape) -> None:
            x = b.feed(shape)
            b.add("Convert_8_16", list(x), (shape, "int16"))
            y = b.feed(shape, "int16")
            b.add("Convert_16_8", [*y, *b.value_range()], (shape, "uint8"))

        yield "sixteen", sixteen
        yield (
            "output",
            lambda b, shape=shape: b.add(
                "DequantizeOUTPUT_8tof", list(b.feed(shape)), ranged=False
            ),
        )
    for rows, width, count in (
        (100, 64, 8),
        (1000, 256, 48),
        (256, 512, 144),
        (64, 32, 20),
        (40, 96, 33),
        (30, 144, 100),
    ):

        def gather(b: Bench, rows=rows, width=width, count=count) -> None:
            table = b.const(RNG.integers(0, 256, (1, 1, rows, width)), "uint8")
            index, *_ = b.feed((1, 1, 1, count), "int32")
            b.feeds[-1] %= rows
            inputs = [index, table, *b.value_range(), b.const(2, "int32"), b.const(1, "int32")]
            b.add("Gather_8", inputs, ((1, 1, count, width), "uint8"))

        yield "rows", gather


FLOAT_UNARY = [
    "Tanh_f",
    "Sigmoid_f",
    "Relu_f",
    "Neg_f",
    "Abs_f",
    "Floor_f",
    "Ceil_f",
    "Softmax_f",
    "LogSoftmax_f",
    "PRelu_f",
]


def floats() -> Iterator[Case]:
    """Ops that --keep-float inserts between Dequantize and Quantize."""
    for shape, name in product(SMALL, FLOAT_UNARY):

        def build(b: Bench, shape=shape, name=name) -> None:
            extra = [b.const(0.25)] if name == "PRelu_f" else []
            b.add(name, [b.feed(shape, "float32")[0], *extra], (shape, "float32"), ranged=False)

        yield f"{name} {shape}", build
    for shape, name, kind in product(
        SMALL,
        ["Add_f", "Sub_f", "Mul_f", "Maximum_f", "Minimum_f"],
        ["same", "depth", "row", "scalar"],
    ):

        def binary(b: Bench, shape=shape, name=name, kind=kind) -> None:
            small = {
                "same": shape,
                "depth": (1, 1, 1, shape[3]),
                "row": (*shape[:3], 1),
                "scalar": (1, 1, 1, 1),
            }[kind]
            x = b.feed(shape, "float32")[0]
            y = b.const(0.5) if kind == "scalar" else b.feed(small, "float32")[0]
            b.add(name, [x, y], (shape, "float32"), ranged=False)

        yield f"{name} {kind} {shape}", binary
    for shape, perm in product(SMALL, [(0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1)]):

        def transposed(b: Bench, shape=shape, perm=perm) -> None:
            moved = tuple(shape[axis] for axis in perm)
            x = b.feed(shape, "float32")[0]
            b.add("Transpose_f", [x, b.const(perm, "int32")], (moved, "float32"), ranged=False)

        yield f"Transpose_f {perm} {shape}", transposed
    for shape, axis, count in product(SMALL, range(4), (2, 3)):

        def joined(b: Bench, shape=shape, axis=axis, count=count) -> None:
            parts = [b.feed(shape, "float32")[0] for _ in range(count)]
            whole = tuple(n * count if i == axis else n for i, n in enumerate(shape))
            inputs = [b.const([axis], "int32"), *parts]
            b.add("Concat_f", inputs, (whole, "float32"), ranged=False)

        yield f"Concat_f {axis} {shape}", joined
    for rows, inner, columns in product((1, 12, 100), (16, 64, 200), (8, 64, 150)):

        def matmul(b: Bench, rows=rows, inner=inner, columns=columns) -> None:
            x = b.feed((1, 1, rows, inner), "float32")[0]
            y = b.const(RNG.uniform(-1, 1, (inner, columns)))
            b.add("MatMul_f", [x, y], ((1, 1, rows, columns), "float32"), ranged=False)

        yield f"MatMul_f {rows} {inner} {columns}", matmul
