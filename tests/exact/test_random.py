"""Exact functions on random shapes and ranges: the simulator's bytes on v60, v65 and v66."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hexconv.arrays import Array
from hexconv.errors import GraphError, HexconvError
from hexconv.nnlib.graph import Output
from tests.exact.runs import assert_op

Draw = np.random.Generator
Made = tuple[list[Array], str]
LIBRARIES = ("v60", "v65", "v66")
SEEDS = range(6)


def scalar(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int32).reshape(1, 1, 1, -1)


def codes(draw: Draw, *shape: int) -> Array:
    return draw.integers(0, 256, shape, np.uint8)


def span(draw: Draw, reach: float = 3.0) -> list[Array]:
    """A range that holds zero, its ends of any ratio; sometimes it starts there."""
    low = -float(draw.uniform(0, reach)) * int(draw.integers(0, 4) > 0)
    return [scalar(low), scalar(float(draw.uniform(0.05, reach)))]


def shape(draw: Draw, most: int = 9, depth: int = 40) -> tuple[int, int, int, int]:
    b, h, w, d = (int(draw.integers(1, n + 1)) for n in (2, most, most, depth))
    return b, h, w, d


def stride(draw: Draw, most: int = 2) -> Array:
    return np.zeros((1, *draw.integers(1, most + 1, 2), 1), np.uint8)


def padding(draw: Draw) -> str:
    return str(draw.choice(["NN_PAD_SAME", "NN_PAD_VALID", "NN_PAD_SAME_CAFFE"]))


def conv(draw: Draw) -> Made:
    b, h, w, d = shape(draw, depth=70)
    kh, kw = int(draw.integers(1, min(h, 4) + 1)), int(draw.integers(1, min(w, 4) + 1))
    out = int(draw.integers(1, 90))
    arrays = [codes(draw, b, h, w, max(d, 5)), codes(draw, kh, kw, max(d, 5), out), *span(draw)]
    arrays += [*span(draw, 0.5), stride(draw, 3)]
    arrays += [draw.integers(-(2**20), 2**20, (1, 1, 1, out), np.int32), *span(draw, 20.0)]
    arrays += [scalar(-float(draw.uniform(0.1, 30))), scalar(float(draw.uniform(0.1, 30)))]
    if draw.integers(0, 2):
        arrays.append(draw.uniform(0.05, 1, (1, 1, 1, out)).astype(np.float32))
    return arrays, padding(draw)


def depthwise(draw: Draw) -> Made:
    b, h, w, d = shape(draw)
    h, w = h + 4, w + 6
    kh, kw = int(draw.integers(2, 5)), int(draw.choice([3, 5, 7]))
    arrays = [codes(draw, b, h, w, d), codes(draw, kh, kw, d, 1), *span(draw), *span(draw, 0.5)]
    arrays += [stride(draw), draw.integers(-(2**20), 2**20, (1, 1, 1, d), np.int32)]
    return [*arrays, *span(draw, 20.0), scalar(-9), scalar(11)], padding(draw)


def pair(draw: Draw) -> list[Array]:
    """Two tensors of which one may stretch."""
    full = shape(draw)
    part = tuple(size if draw.integers(0, 2) else 1 for size in full)
    a, b = codes(draw, *full), codes(draw, *part)
    return [a, b] if draw.integers(0, 2) else [b, a]


def two(draw: Draw) -> Made:
    out = [scalar(-float(draw.uniform(2, 9))), scalar(float(draw.uniform(2, 9)))]
    return [*pair(draw), *span(draw), *span(draw), *out], "NN_PAD_NA"


def two_found(draw: Draw) -> Made:
    return [*pair(draw), *span(draw), *span(draw)], "NN_PAD_NA"


def pool(draw: Draw) -> Made:
    b, h, w, d = shape(draw)
    window = np.zeros((1, *(int(draw.integers(1, n + 1)) for n in (h, w)), 1), np.uint8)
    return [codes(draw, b, h, w, d), *span(draw), window, stride(draw)], padding(draw)


def one(draw: Draw) -> Made:
    return [codes(draw, *shape(draw)), *span(draw, 9.0)], "NN_PAD_NA"


def prelu(draw: Draw) -> Made:
    data = codes(draw, *shape(draw))
    slopes = draw.uniform(-2, 2, (1, 1, 1, data.shape[3])).astype(np.float32)
    return [data, *span(draw), slopes], "NN_PAD_NA"


def prelu_v2(draw: Draw) -> Made:
    data = codes(draw, *shape(draw))
    slopes = codes(draw, 1, 1, 1, data.shape[3])
    return [data, *span(draw), slopes, *span(draw), scalar(-5), scalar(4)], "NN_PAD_NA"


def softmax(draw: Draw) -> Made:
    b, h, w, _ = shape(draw, most=5)
    depth = int(draw.choice([1, 2, 3, 31, 144, 1500]))
    h = max(h, 4) if depth == 1500 else h
    return [codes(draw, b, h, w, depth), *span(draw, 12.0), scalar(1)], "NN_PAD_NA"


def rescaled(draw: Draw) -> Made:
    size = shape(draw, 5)
    x = draw.integers(-(2**30), 2**30, size, np.int32)
    reach = float(draw.uniform(10, 3000))
    ends = [scalar(-reach), scalar(reach), *span(draw, reach)]
    return [x, *ends], "NN_PAD_NA"


def norm(draw: Draw) -> Made:
    data = codes(draw, *shape(draw))
    depth = data.shape[3]
    scale = codes(draw, 1, 1, 1, depth)
    bias = draw.integers(-(2**28), 2**28, (1, 1, 1, depth), np.int32)
    ends = [scalar(-9.0), scalar(8.0)] if draw.integers(0, 2) else [scalar(-np.inf), scalar(np.inf)]
    return [data, scale, *span(draw), *span(draw), bias, scalar(-4), scalar(4), *ends], "NN_PAD_NA"


def mean(draw: Draw) -> Made:
    data = codes(draw, *shape(draw))
    axes = [(1, 2), (3,), (0, 1, 2, 3), (2,)][int(draw.integers(0, 4))]
    return [data, *span(draw), ints(*axes), scalar(-3), scalar(3)], "NN_PAD_NA"


def total(draw: Draw) -> Made:
    arrays, padded = mean(draw)
    return arrays[:4], padded


def resize(draw: Draw) -> Made:
    b, h, w, d = shape(draw, 6)
    size = [int(draw.integers(1, 3 * n + 1)) for n in (h, w)]
    if draw.integers(0, 2):
        size = [2 * h, 2 * w]
    return [codes(draw, b, h, w, d), ints(*size), *span(draw), ints(0)], "NN_PAD_NA"


def matmul(draw: Draw) -> Made:
    rows, depth, columns = (int(draw.integers(1, n)) for n in (20, 30, 40))
    arrays = [codes(draw, 1, 1, rows, depth + 16), codes(draw, 1, 1, depth + 16, columns)]
    return [*arrays, *span(draw), *span(draw)], "NN_PAD_NA"


def batch_matmul(draw: Draw) -> Made:
    b, h, m, k = shape(draw)
    return [
        codes(draw, b, h, m, k),
        codes(draw, b, h, k, 17),
        *span(draw),
        *span(draw),
    ], "NN_PAD_NA"


def full(draw: Draw) -> Made:
    depth, columns = 16 * int(draw.integers(2, 6)), int(draw.integers(1, 50))
    arrays = [codes(draw, 1, 1, 7, depth), codes(draw, 1, 1, depth, columns), *span(draw)]
    arrays += [*span(draw, 0.5), draw.integers(-(2**20), 2**20, (1, 1, 1, columns), np.int32)]
    return [*arrays, *span(draw, 9.0), scalar(-12), scalar(9)], "NN_PAD_NA"


def quantized(draw: Draw) -> Made:
    x = (draw.standard_normal(shape(draw)) * draw.uniform(0.01, 40)).astype(np.float32)
    return [x, *span(draw, 20.0)], "NN_PAD_NA"


def floats(draw: Draw) -> Made:
    x = (draw.standard_normal(shape(draw)) * draw.uniform(0.01, 9)).astype(np.float32)
    return [x], "NN_PAD_NA"


def two_floats(draw: Draw) -> Made:
    a, b = (array.astype(np.float32) - np.float32(100.3) for array in pair(draw))
    return [a, b], "NN_PAD_NA"


def float_matmul(draw: Draw) -> Made:
    a = draw.standard_normal((1, 2, 5, 19)).astype(np.float32)
    b = draw.standard_normal((1, 1, 19, 11)).astype(np.float32)
    return [a, b], "NN_PAD_NA"


MAKERS: dict[str, Callable[[Draw], Made]] = {
    "Supernode_8x8p32to8": conv,
    "DepthwiseSupernode_8x8p32to8": depthwise,
    "SuperFC_8x8p32to8": full,
    "QuantizedMatMul_8x8to32": matmul,
    "QuantizedBatchMatMul_8x8to32": batch_matmul,
    "QuantizedAdd_8p8to8": two,
    "QuantizedSub_8p8to8": two,
    "QuantizedMul_8x8to8": two,
    "QuantizedMaximum_8": two,
    "QuantizedMinimum_8": two,
    "QuantizedLess_8": two_found,
    "QuantizedEqual_8": two_found,
    "QuantizedMaxPool_8": pool,
    "QuantizedAvgPool_8": pool,
    "QuantizedRelu_8": one,
    "QuantizedNeg_8": one,
    "QuantizedTanh_8": one,
    "QuantizedSigmoid_8": one,
    "QuantizedHardSwish_8": one,
    "Dequantize": one,
    "QuantizedPRelu_8": prelu,
    "QuantizedPRelu_8_V2": prelu_v2,
    "QuantizedSoftmax_8": softmax,
    "Requantize_32to8": rescaled,
    "QuantizedBatchNorm_8x8p32to8": norm,
    "QuantizedMean_8": mean,
    "QuantizedSum_8to32": total,
    "QuantizedResizeBilinear_8": resize,
    "ResizeNearestNeighbor_8": resize,
    "Quantize": quantized,
    "Relu_f": floats,
    "Tanh_f": floats,
    "Sigmoid_f": floats,
    "Softmax_f": floats,
    "LogSoftmax_f": floats,
    "Floor_f": floats,
    "Add_f": two_floats,
    "Mul_f": two_floats,
    "Maximum_f": two_floats,
    "MatMul_f": float_matmul,
}


FINDING = ["QuantizedAdd_8p8to8", "QuantizedSub_8p8to8", "QuantizedMul_8x8to8"]
CONVOLUTIONS = {"Supernode_8x8p32to8": conv, "DepthwiseSupernode_8x8p32to8": depthwise}


@pytest.mark.parametrize("op", MAKERS)
def test_random_shapes_are_exact(op: str) -> None:
    ran = 0
    for seed in SEEDS:
        arrays, pads = MAKERS[op](np.random.default_rng(seed))
        library = LIBRARIES[seed % 3]
        try:
            assert_op(op, arrays, pads, library)
        except HexconvError as error:
            assert isinstance(error, GraphError), "the library rejects this shape"
            continue
        ran += 1
    assert ran >= 3, "too few of the shapes are ones that the library takes"


@pytest.mark.parametrize("loudest", [1e-8, 1e-12, 1e-24])
def test_means_of_a_nearly_silent_input_are_exact(loudest: float) -> None:
    data = codes(np.random.default_rng(5), 1, 3, 4, 40)
    arrays = [data, scalar(-loudest), scalar(loudest), ints(1, 2), scalar(-3), scalar(3)]
    assert_op("QuantizedMean_8", arrays, "NN_PAD_NA", "v60")


@pytest.mark.parametrize(
    "op", ["QuantizedAdd_8p8to8", "QuantizedSub_8p8to8", "QuantizedMul_8x8to8"]
)
def test_ranges_that_are_found_are_exact(op: str) -> None:
    for seed in range(8):
        draw = np.random.default_rng(seed)
        arrays, _ = two_found(draw)
        if seed % 3 == 1:
            arrays += [scalar(-2.0), scalar(np.inf)]
        elif seed % 3 == 2 and op != "QuantizedMul_8x8to8":
            arrays += [scalar(-np.inf), scalar(2.5)]
        assert_op(op, arrays)


@pytest.mark.parametrize("ends", [(-np.inf, np.inf), (-1.0, np.inf), (0.0, np.inf)], ids=str)
@pytest.mark.parametrize("library", LIBRARIES)
def test_convolutions_find_their_range(ends: tuple[float, float], library: str) -> None:
    for seed in range(4):
        for maker, op in (
            (conv, "Supernode_8x8p32to8"),
            (depthwise, "DepthwiseSupernode_8x8p32to8"),
        ):
            arrays, pads = maker(np.random.default_rng(seed))
            arrays[10:12] = [scalar(end) for end in ends]
            try:
                assert_op(op, arrays, pads, library)
            except GraphError as error:
                assert "does not find an output range" in str(error)


def test_a_concat_of_several_ranges_and_a_split_are_exact() -> None:
    draw = np.random.default_rng(4)
    parts = [codes(draw, 1, 3, 4, depth) for depth in (5, 8, 3)]
    lows, highs = zip(*(span(draw) for _ in parts), strict=True)
    axis = np.full((1, 1, 1, 1), 3, np.int32)
    assert_op("QuantizedConcat_8", [axis, *parts, *lows, *highs])
    whole = codes(draw, 1, 3, 4, 12)
    declared = [Output((1, 3, 4, 4), "uint8")] * 3 + [Output((1, 1, 1, 1), "float32")] * 2
    assert_op("QuantizedSplit_8", [axis, whole, *span(draw)], outputs=declared)
