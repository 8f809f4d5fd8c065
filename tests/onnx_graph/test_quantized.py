"""Quantized models: their ranges are taken over, their integers are gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.onnx_graph import load
from tests.lowering.proof import float_outputs, model, numbers, unsupported_op

SHAPE = (1, 4, 6, 6)
ZERO = np.uint8(100)
# The DSP quantizes the model's input over what it sees: what a stated range would clip is kept off.
INSIDE = np.clip(numbers(SHAPE), -1.9, 3.0)


def scale(value: float) -> Any:
    return np.float32(value)


def between(before: str, after: str, pair: str) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear with the constants `pair_s`, `pair_z`."""
    constants = [f"{pair}_s", f"{pair}_z"]
    return [
        helper.make_node("QuantizeLinear", [before, *constants], [f"{after}_q"], name=f"{after}_q"),
        helper.make_node("DequantizeLinear", [f"{after}_q", *constants], [after], name=after),
    ]


def qdq(*, per_channel: bool = False, zero: Any = ZERO) -> onnx.ModelProto:
    """Conv and Relu, quantized in, between and out."""
    weights = np.random.default_rng(3).integers(-127, 128, (8, 4, 3, 3)).astype(np.int8)
    steps = np.linspace(0.01, 0.03, 8, dtype=np.float32) if per_channel else scale(0.02)
    consts = {
        "w_q": weights,
        "w_s": steps,
        "w_z": np.zeros(np.shape(steps), np.int8),
        "b": numbers((8,)),
        "i_s": scale(0.02),
        "i_z": zero,
        "o_s": scale(0.25),
        "o_z": np.uint8(0),
    }
    axis = {"axis": 0} if per_channel else {}
    nodes = [
        *between("x", "xd", "i"),
        helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"], name="w", **axis),
        helper.make_node("Conv", ["xd", "w", "b"], ["conv"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        *between("relu", "y", "o"),
    ]
    return model(nodes, {"x": SHAPE}, ["y"], consts)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_qdq_model_needs_no_samples_and_has_its_declared_ranges(per_channel: bool) -> None:
    proto = qdq(per_channel=per_channel)
    x = INSIDE
    converted = hexconv.convert(proto)
    assert not any("NO SAMPLES" in warning for warning in converted.conversion.warnings)
    (expected,) = float_outputs(proto, {"x": x})
    output = hexconv.simulate(converted, {"x": x}, library="v60")["y"]
    # Weights by channel are one range on the DSP: up to three times as coarse for some.
    assert np.abs(output - expected).max() <= 0.25 * (3 if per_channel else 2)


def test_the_ranges_are_those_of_scale_and_zero_point() -> None:
    clamped = load(qdq())
    assert [node.op_type for node in clamped.nodes] == ["Clip", "Conv", "Relu", "Clip"]
    graph = load(qdq(), unreached=clamped.clamps)
    assert [node.op_type for node in graph.nodes] == ["Clip", "Conv", "Relu"]
    assert graph.ranges["x"] == pytest.approx((-2.0, 3.1))
    low, high = graph.ranges[graph.outputs[0].name]
    assert (low, high) == pytest.approx((0.0, 63.75))


def test_int8_quantization_gives_the_same_ranges() -> None:
    assert load(qdq(zero=np.int8(-28))).ranges["x"] == pytest.approx((-2.0, 3.1))


def test_samples_complete_what_the_model_leaves_out() -> None:
    proto = qdq()
    converted = hexconv.convert(proto, samples=[{"x": numbers(SHAPE)}], optimize="none")
    assert converted.ranges["x"] == pytest.approx((-2.0, 3.1))
    assert "conv" in converted.ranges


def test_integers_that_are_moved_in_between_keep_their_range() -> None:
    nodes = between("x", "d", "i")
    nodes[1].input[0] = "moved"
    nodes.insert(
        1,
        helper.make_node(
            "MaxPool", ["d_q"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2], name="pool"
        ),
    )
    nodes.insert(
        2, helper.make_node("Transpose", ["pooled"], ["moved"], perm=[0, 2, 3, 1], name="move")
    )
    nodes.append(helper.make_node("Neg", ["d"], ["y"], name="neg"))
    proto = model(nodes, {"x": SHAPE}, ["y"], {"i_s": scale(0.02), "i_z": np.uint8(128)})
    graph = load(proto)
    assert [node.op_type for node in graph.nodes] == ["Clip", "MaxPool", "Transpose", "Neg"]
    assert graph.ranges["moved"] == graph.ranges["x"]


def test_integer_convolutions_and_products_become_float_ones() -> None:
    rng = np.random.default_rng(0)
    consts = {
        "i_s": scale(0.02),
        "i_z": np.uint8(100),
        "w": rng.integers(0, 255, (8, 4, 1, 1)).astype(np.uint8),
        "w_s": np.linspace(0.01, 0.02, 8, dtype=np.float32),
        "w_z": np.full(8, 128, np.uint8),
        "o_s": scale(0.05),
        "o_z": np.uint8(120),
        "b": rng.integers(-500, 500, 8).astype(np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "i_s", "i_z"], ["q"], name="q"),
        helper.make_node(
            "QLinearConv",
            ["q", "i_s", "i_z", "w", "w_s", "w_z", "o_s", "o_z", "b"],
            ["c"],
            name="c",
        ),
        helper.make_node("DequantizeLinear", ["c", "o_s", "o_z"], ["y"], name="y"),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], consts)
    x = INSIDE
    (expected,) = float_outputs(proto, {"x": x})
    output = hexconv.simulate(hexconv.convert(proto), {"x": x}, library="v60")["y"]
    assert np.abs(output - expected).max() <= 2 * 0.05


@pytest.mark.parametrize("per_column", [False, True])
def test_dynamic_quantization_becomes_static(per_column: bool) -> None:
    rng = np.random.default_rng(1)
    size = (5,) if per_column else ()
    consts = {
        "w": rng.integers(-127, 128, (8, 5)).astype(np.int8),
        "w_z": np.zeros(size, np.int8),
        "w_s": np.full(size, 0.02, np.float32),
    }
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic"),
        helper.make_node("MatMulInteger", ["q", "w", "z", "w_z"], ["i"], name="product"),
        helper.make_node("Cast", ["i"], ["f"], name="cast", to=1),
        helper.make_node("Mul", ["s", "w_s"], ["both"], name="scales"),
        helper.make_node("Mul", ["f", "both"], ["y"], name="scaled"),
    ]
    proto = model(nodes, {"x": (3, 8)}, ["y"], consts)
    graph = load(proto)
    assert [node.op_type for node in graph.nodes] == ["MatMul"]
    x = numbers((3, 8))
    (expected,) = float_outputs(proto, {"x": x})
    converted = hexconv.convert(proto, samples=[{"x": x}])
    output = hexconv.simulate(converted, {"x": x}, library="v60")["y"]
    assert np.abs(output - expected).max() <= np.ptp(expected) / 60


def test_a_scale_computed_at_run_time_is_no_output() -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], name="node")]
    assert "node 'node'" in unsupported_op(model(nodes, {"x": (2, 3)}, ["y"]))


def test_scales_that_are_computed_are_rejected() -> None:
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["i_s"], keepdims=0, name="largest"),
        *between("x", "d", "i"),
        helper.make_node("Neg", ["d"], ["y"], name="neg"),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"i_z": np.zeros((), np.uint8)})
    assert "a QuantizeLinear whose integers" in unsupported_op(proto)
