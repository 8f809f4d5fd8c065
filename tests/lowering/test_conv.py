"""Convolutions of every kind are what ONNX Runtime computes, to the rounding of one node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from hexconv.lowering.conv import dense_groups, dilate
from hexconv.lowering.conv_emitter import block_diagonal
from hexconv.nnlib.constraints import WIDEST_KERNEL
from tests.lowering.proof import (
    Array,
    decibels,
    emitted,
    ints,
    matches,
    model,
    numbers,
    one,
    unsupported_op,
)
from tests.lowering.test_matmul import ROUNDED, weights

FEW = settings(max_examples=15, deadline=None, derandomize=True)


def bias(channels: int) -> Array:
    """Multiples of the product of the scales, 1/32 and 1/64."""
    return (np.random.default_rng(5).integers(-999, 999, channels) / 2048.0).astype(np.float32)


def conv(shape: tuple[int, ...], kernel: tuple[int, ...], **attrs: Any) -> onnx.ModelProto:
    return one("Conv", shape, weights(*kernel), bias(kernel[0]), **attrs)


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 1, 2, 0]},
        {"strides": [2, 2]},
        {"strides": [1, 2], "pads": [1, 1, 1, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        {"dilations": [1, 3]},
        {"dilations": [2, 1], "strides": [2, 1]},
    ],
)
def test_images(attrs: dict[str, Any]) -> None:
    matches(conv((1, 3, 9, 10), (5, 3, 3, 3), **attrs), ROUNDED)


@pytest.mark.parametrize(
    ("shape", "kernel", "attrs"),
    [
        ((1, 4, 80), (8, 4, 32), {}),
        ((1, 4, 90), (4, 4, 41), {"pads": [20, 20]}),
        ((1, 1, 900), (16, 1, 100), {"strides": [40]}),
        ((1, 1, 1, 900), (1, 1, 1, 256), {"strides": [1, 2]}),
        ((1, 1, 300), (1, 1, 40), {"pads": [20, 19]}),
        ((1, 8, 90), (8, 4, 33), {"group": 2}),
        ((1, 4, 9, 60), (4, 4, 3, 33), {"pads": [1, 16, 1, 16]}),
        ((1, 4, 100), (4, 4, 5), {"dilations": [9], "strides": [2]}),
    ],
)
def test_wide_kernels_are_laid_out_along_h(
    shape: tuple[int, ...], kernel: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    """From 32 columns on the library returns wrong values; rows are unlimited."""
    made = matches(conv(shape, kernel, **attrs), 3.0)
    consts = made.graph.const_by_id()
    wide = [
        consts[node.inputs[1].node].array.shape[1]
        for node in made.graph.nodes
        if "upernode" in node.op or "Conv2d" in node.op
    ]
    assert wide and max(wide) <= WIDEST_KERNEL


@pytest.mark.parametrize(
    ("shape", "kernel", "attrs"),
    [
        ((1, 3, 64, 96), (8, 3, 32, 32), {"strides": [32, 32]}),
        ((2, 3, 60, 80), (4, 3, 40, 40), {"strides": [20, 20], "pads": [20] * 4}),
        ((1, 2, 66, 72), (4, 2, 66, 36), {"strides": [3, 6]}),
        ((1, 1, 128, 128), (2, 1, 64, 64), {"strides": [64, 64]}),
        ((1, 2, 66, 99), (4, 2, 33, 33), {"strides": [33, 33]}),
    ],
)
def test_a_kernel_wide_and_high_is_computed_over_blocks(
    shape: tuple[int, ...], kernel: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    made = matches(conv(shape, kernel, **attrs), 3.0)
    assert "SpaceToDepth_8" in [node.op for node in made.graph.nodes]


@pytest.mark.parametrize(
    ("size", "kernel", "attrs"),
    [
        (40, 33, {}),
        (65, 32, {"strides": [32, 32]}),
        (64, 32, {"strides": [32, 32], "pads": [1, 1, 1, 1]}),
        (128, 32, {"dilations": [2, 2], "strides": [2, 2]}),
        (64, 32, {"strides": [32, 32], "group": 2}),
    ],
)
def test_one_that_has_no_blocks_is_rejected(size: int, kernel: int, attrs: dict[str, Any]) -> None:
    inputs = 4 // attrs.get("group", 1)
    proto = conv((1, 4, size, size), (4, inputs, kernel, kernel), **attrs)
    assert "32 columns" in unsupported_op(proto)


@pytest.mark.parametrize(("columns", "stride"), [(32, 1), (63, 2)])
def test_a_wide_transposed_kernel_is_rejected(columns: int, stride: int) -> None:
    proto = one("ConvTranspose", (1, 4, 40), weights(4, 4, columns), strides=[stride])
    assert "32 columns" in unsupported_op(proto)


def test_the_taps_of_a_step_of_the_stride_count_not_the_kernel() -> None:
    kernel = weights(32, 32, 62)
    matches(one("ConvTranspose", (1, 32, 40), kernel, strides=[2], pads=[30, 30]), 3.0)


@FEW
@given(st.data())
def test_any_kernel_stride_and_padding(data: st.DataObject) -> None:
    kernel = [data.draw(st.integers(1, 4)) for _ in range(2)]
    pads = [data.draw(st.integers(0, 2)) for _ in range(4)]
    strides = [data.draw(st.integers(1, 2)) for _ in range(2)]
    channels = data.draw(st.integers(1, 3))
    proto = conv((1, channels, 7, 6), (4, channels, *kernel), pads=pads, strides=strides)
    matches(proto, ROUNDED)


@pytest.mark.parametrize("attrs", [{}, {"pads": [2, 2]}, {"dilations": [3]}, {"strides": [2]}])
def test_signals_are_laid_out_along_w(attrs: dict[str, Any]) -> None:
    converted = matches(conv((1, 8, 20), (6, 8, 5), **attrs), ROUNDED)
    assert all(node.outputs[0].shape[1] <= 2 for node in converted.graph.nodes if node.outputs)


def test_same_padding_needs_no_pad_node() -> None:
    counts = emitted(matches(conv((1, 3, 8, 8), (4, 3, 3, 3), pads=[1, 1, 1, 1]), ROUNDED))
    assert "QuantizedPad_8" not in counts and counts["Supernode_8x8p32to8"] == 1


def test_a_padding_that_the_library_lacks_is_a_pad_node() -> None:
    counts = emitted(matches(conv((1, 3, 8, 8), (4, 3, 3, 3), pads=[2, 0, 0, 1]), ROUNDED))
    assert counts["QuantizedPad_8"] == 1


@pytest.mark.parametrize("group", [2, 3])
def test_small_groups_are_one_dense_kernel(group: int) -> None:
    proto = conv((1, 6, 7, 7), (6, 6 // group, 3, 3), group=group, pads=[1, 1, 1, 1])
    assert emitted(matches(proto, ROUNDED))["Supernode_8x8p32to8"] == 1


def test_large_groups_stay_groups() -> None:
    proto = conv((1, 64, 24, 24), (64, 32, 3, 3), group=2, pads=[1, 1, 1, 1])
    assert "QuantizedGroupedConv2d_8x8p32to8" in emitted(matches(proto, ROUNDED))


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"strides": [2]},
        {"strides": [4], "pads": [2, 2]},
        {"strides": [3], "output_padding": [1]},
        {"strides": [2], "auto_pad": "SAME_UPPER"},
    ],
)
def test_transposed_signals(attrs: dict[str, Any]) -> None:
    proto = one("ConvTranspose", (1, 4, 9), weights(4, 3, 4), bias(3), **attrs)
    matches(proto, ROUNDED)


@pytest.mark.parametrize("group", [1, 2])
def test_transposed_images(group: int) -> None:
    kernel = weights(4, 6 // group, 3, 3)
    attrs = {"strides": [2, 2], "pads": [1, 0, 0, 1], "group": group}
    matches(one("ConvTranspose", (1, 4, 5, 6), kernel, bias(6), **attrs), ROUNDED)


@pytest.mark.parametrize(
    ("kernel", "dilations"),
    [((3, 3), (2, 2)), ((3, 2), (1, 2)), ((2, 3), (2, 1)), ((2, 2), (2, 2)), ((3, 2), (1, 4))],
)
@pytest.mark.parametrize("level", ["none", "default"])
def test_no_form_of_a_dilated_convolution_from_2_to_2_channels_is_a_3x3_kernel(
    kernel: tuple[int, int], dilations: tuple[int, int], level: Any
) -> None:
    """prepare has a kernel of its own for it, which nothing here knows."""
    proto = one("Conv", (1, 2, 12, 14), weights(2, 2, *kernel), dilations=dilations)
    samples = [{"x": np.random.default_rng(0).standard_normal((1, 2, 12, 14)).astype(np.float32)}]
    assert decibels(proto, samples, optimize=level) > 35.0


def test_no_weights_leave_the_bias() -> None:
    """Pruned to nothing: at the product of the scales the bias still fits int32."""
    kernel = np.zeros((4, 3, 3, 3), np.float32)
    matches(one("Conv", (1, 3, 8, 8), kernel, bias(4)), ROUNDED)


def test_a_volume_is_rejected() -> None:
    shape = ints(1, 2, 4, 4, 4)
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["v"]),
        helper.make_node("Conv", ["v", "w"], ["c"]),
        helper.make_node("Reshape", ["c", "flat"], ["y"]),
    ]
    consts = {"shape": shape, "w": weights(2, 2, 3, 3, 3), "flat": ints(-1)}
    assert "3-D convolution" in unsupported_op(model(nodes, {"x": (128,)}, ["y"], consts))


def test_a_dilated_kernel_has_zeros_between_its_taps() -> None:
    kernel = np.arange(1, 4, dtype=np.float32).reshape(1, 1, 3)
    assert dilate(kernel, [2]).tolist() == [[[1, 0, 2, 0, 3]]]
    assert dilate(kernel, [1]) is kernel


def test_groups_are_on_the_diagonal() -> None:
    kernel = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)  # HWIO, four groups
    assert (block_diagonal(kernel, 4)[0, 0] == np.diag([0, 1, 2, 3])).all()
    transposed = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)  # IO and space
    assert (dense_groups(transposed, 4)[:, :, 0, 0] == np.diag([0, 1, 2, 3])).all()


@pytest.mark.parametrize("kernel", [(1, 8), (1, 9), (3, 11)])
@pytest.mark.parametrize("before", ["LpPool", "Mul"])
def test_wide_kernels_read_tensors_times_a_number(kernel: tuple[int, int], before: str) -> None:
    """From 8 columns on, a node of its own pads the input, and reads it times that number."""
    if before == "LpPool":
        nodes = [helper.make_node("LpPool", ["x"], ["t"], kernel_shape=[2, 2])]
    else:
        nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Mul", ["r", "k"], ["t"])]
    height, width = kernel
    pads = [height // 2, width // 2, (height - 1) // 2, (width - 1) // 2]
    nodes.append(helper.make_node("Conv", ["t", "w"], ["y"], pads=pads))
    consts: dict[str, Array] = {"w": numbers((4, 5, *kernel)) / 5}
    if before == "Mul":
        consts["k"] = np.array(2.5, np.float32)
    matches(model(nodes, {"x": (1, 5, 5, 16)}, ["y"], consts), 4.0)
