"""Tensors whose sizes exceed 16 bits: forms that the library computes, or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.nnlib.constraints import DEEPEST_CONVOLUTION, WIDEST_BATCH_NORM
from tests.lowering.proof import (
    decibels,
    emitted,
    ints,
    model,
    numbers,
    one,
    unsupported_op,
)

DEEP = 33_000
DEEP_ROW = (1, DEEP, 1, 4)


def converted(proto: ModelProto, shape: tuple[int, ...], **settings: Any) -> hexconv.Model:
    return hexconv.convert(proto, samples=[{"x": numbers(shape)}], **settings)


@pytest.mark.parametrize("width", [1, 3])
def test_a_convolution_of_deep_data_reads_parts_of_its_channels_as_columns(width: int) -> None:
    kernel = numbers((8, DEEP, 1, width), 2)
    proto = one("Conv", DEEP_ROW, kernel, pads=[0, width // 2] * 2)
    assert decibels(proto, [{"x": numbers(DEEP_ROW)}]) > 30.0


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("length", [40_000, 140_000])
def test_a_product_with_a_long_constant_matrix_is_right(length: int, level: str) -> None:
    shape = (1, 3, length)
    proto = one("MatMul", shape, numbers((length, 8), 2))
    assert decibels(proto, [{"x": numbers(shape)}], optimize=level) > 30.0


def test_a_flattened_map_of_65536_numbers_goes_into_a_linear_layer() -> None:
    shape = (1, 1024, 8, 8)
    flat = helper.make_node("Flatten", ["x"], ["f"])
    proto = model(
        [flat, helper.make_node("Gemm", ["f", "w"], ["y"])],
        {"x": shape},
        ["y"],
        {"w": numbers((65_536, 10), 2)},
    )
    samples = [{"x": numbers(shape, seed)} for seed in range(4)]
    assert decibels(proto, samples) > 30.0


@pytest.mark.parametrize(
    ("proto", "why"),
    [
        (one("Conv", (1, 32_749, 1, 4), numbers((2, 32_749, 1, 1))), "crashes"),
        (one("ConvTranspose", DEEP_ROW, numbers((DEEP, 2, 1, 2))), "crashes"),
        (
            one("Conv", (1, 5_000, 1, 28), numbers((2, 5_000, 1, 28))),
            "rounds the sum of the weights",
        ),
    ],
    ids=["prime depth", "transposed", "140,000 products"],
)
def test_what_the_library_cannot_sum_up_is_refused_by_check_too(
    proto: ModelProto, why: str
) -> None:
    shape = tuple(d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim)
    assert not hexconv.check(proto).ok
    assert why in unsupported_op(proto, {"x": numbers(shape)})


@pytest.mark.parametrize("level", ["none", "default"])
def test_the_mean_of_more_numbers_than_a_convolution_takes_is_a_mean(level: str) -> None:
    shape = (1, 3, 70_000)
    sample = {"x": np.abs(numbers(shape))}
    proto = one("ReduceMean", shape, ints(2), opset=18)
    assert decibels(proto, [sample], optimize=level) > 30.0


@pytest.mark.parametrize("count", [20_000, 32_000])
def test_the_mean_of_many_large_numbers_does_not_overflow(count: int) -> None:
    shape = (1, 3, count)
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["y"]),
    ]
    proto = model(nodes, {"x": shape}, ["y"], {"axes": ints(2)})
    sample = {"x": np.full(shape, 0.9, np.float32)}
    assert decibels(proto, [sample, {"x": numbers(shape)}]) > 35.0


@pytest.mark.parametrize("shape", [(1, 1, 131_073), (1, 1, 181_760)])
def test_a_norm_over_more_than_131072_numbers_converts(shape: tuple[int, ...]) -> None:
    proto = one("InstanceNormalization", shape, np.ones(1, np.float32), np.zeros(1, np.float32))
    assert decibels(proto, [{"x": numbers(shape)}]) > 33.0


@pytest.mark.parametrize("columns", [WIDEST_BATCH_NORM, WIDEST_BATCH_NORM + 4, 70_000])
def test_a_batch_norm_of_wide_data_is_a_depthwise_convolution(columns: int) -> None:
    shape = (1, 3, 1, columns)
    consts = [numbers((3,), seed) for seed in (2, 3, 4)]
    proto = one("BatchNormalization", shape, *consts, np.abs(numbers((3,), 5)) + 0.1)
    sample = {"x": numbers(shape)}
    assert decibels(proto, [sample]) > 25.0
    wide = columns > WIDEST_BATCH_NORM
    ops = emitted(converted(proto, shape, accuracy="minmax"))
    assert ("DepthwiseSupernode_8x8p32to8" in ops) == wide
    assert ("QuantizedBatchNorm_8x8p32to8" in ops) != wide


def test_the_deepest_convolution_has_one_column_for_each_pixel() -> None:
    shape = (1, DEEPEST_CONVOLUTION, 1, 1)
    proto = one("Conv", shape, numbers((4, DEEPEST_CONVOLUTION, 1, 1), 2))
    found = converted(proto, shape)
    assert emitted(found) == {"Supernode_8x8p32to8": 1}
    assert decibels(proto, [{"x": numbers(shape)}]) > 30.0
