"""Models whose inputs or outputs are a quantizer's integers: the same numbers, as floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.onnx_graph import load
from tests.lowering.proof import (
    Array,
    float_outputs,
    matches,
    model,
    numbers,
    same_on_the_library,
    unsupported_op,
)

SHAPE = (1, 4, 6, 6)
WEIGHTS = {"w": numbers((8, 4, 3, 3), 3) / 3, "b": numbers((8,), 5)}
ZEROS = {"uint8": 120, "int8": -8, "uint16": 30_000, "int16": -300}


def conv() -> onnx.NodeProto:
    return helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1] * 4)


def quantizer(source: str = "c", result: str = "y", **attrs: Any) -> onnx.NodeProto:
    return helper.make_node("QuantizeLinear", [source, "s", "z"], [result], name="q", **attrs)


def quantized(*nodes: onnx.NodeProto, kind: str = "int8", channels: int = 0) -> onnx.ModelProto:
    """A convolution, then these nodes, with the constants s and z."""
    zero = np.array(ZEROS[kind], kind)
    step = np.float32(0.06 if zero.itemsize == 1 else 0.06 / 256)
    scale = step
    if channels:
        zero = np.full(channels, zero)
        scale = np.linspace(step, 2 * step, channels, dtype=np.float32)
    consts = {**WEIGHTS, "s": scale, "z": zero}
    return model([conv(), *nodes], {"x": SHAPE}, ["y"], consts, opset=21)


def samples() -> list[dict[str, Array]]:
    return [{"x": numbers(SHAPE, seed)} for seed in range(4)]


@pytest.mark.parametrize("channels", [0, 8])
@pytest.mark.parametrize("kind", list(ZEROS))
def test_integer_outputs_are_the_same_numbers_as_floats(kind: str, channels: int) -> None:
    proto = quantized(quantizer(), kind=kind, channels=channels)
    assert hexconv.check(proto).ok
    converted = hexconv.convert(proto, samples=samples())
    assert f"output 'y' is {kind} in the model" in " ".join(converted.conversion.warnings)
    x = {"x": numbers(SHAPE, 9)}
    (expected,) = float_outputs(proto, x)
    result = hexconv.simulate(converted, x, library="v60")["y"]
    output = converted.graph.outputs[0].range
    step = (output[1] - output[0]) / 255
    # The weights, the input, the convolution and the affine round, half a step or one each.
    assert np.abs(result - expected.astype(np.float64)).max() <= 4 * step
    same_on_the_library(converted, x)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_eight_bit_outputs_have_one_level_for_each_integer(kind: str) -> None:
    converted = hexconv.convert(quantized(quantizer(), kind=kind), samples=samples())
    info = np.iinfo(kind)
    assert converted.graph.outputs[0].range == pytest.approx((info.min, info.max))
    result = hexconv.simulate(converted, {"x": numbers(SHAPE, 9)})["y"]
    np.testing.assert_array_equal(result, np.round(result))


def test_integers_that_are_moved_in_front_of_the_output() -> None:
    pool = helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2], strides=[2, 2], name="p")
    turn = helper.make_node("Transpose", ["p"], ["y"], perm=[0, 2, 3, 1], name="t")
    matches(quantized(quantizer(result="q"), pool, turn), 2.5, feeds={"x": numbers(SHAPE)})


def test_integers_that_are_an_output_and_are_dequantized() -> None:
    back = helper.make_node("DequantizeLinear", ["y", "s", "z"], ["f"], name="dq")
    proto = quantized(quantizer(), back, helper.make_node("Relu", ["f"], ["g"], name="relu"))
    proto.graph.output.append(helper.make_empty_tensor_value_info("g"))
    matches(proto, 2.5, feeds={"x": numbers(SHAPE)})


@pytest.mark.parametrize("target", [onnx.TensorProto.FLOAT, onnx.TensorProto.INT32])
def test_integers_that_are_cast_are_the_same_numbers(target: int) -> None:
    cast = helper.make_node("Cast", ["q"], ["y"], to=target, name="cast")
    matches(quantized(quantizer(result="q"), cast), 2.5, feeds={"x": numbers(SHAPE)})


def test_an_output_is_named_as_in_the_file_and_saturates_as_its_integers_do() -> None:
    graph = load(quantized(quantizer()))
    assert [output.name for output in graph.outputs] == ["y"]
    assert graph.ranges["y"] == (-128.0, 127.0)
    assert "Clip" in [node.op_type for node in graph.nodes]


def of_integers(nodes: list[onnx.NodeProto], kind: int = onnx.TensorProto.UINT8) -> onnx.ModelProto:
    """A model of a uint8 input that ONNX Runtime's integer kernels read."""
    rng = np.random.default_rng(0)
    consts = {
        "x_s": np.float32(0.03),
        "x_z": np.uint8(128),
        "w": rng.integers(-127, 127, (8, 4, 1, 1)).astype(np.int8),
        "w_s": np.linspace(0.01, 0.02, 8).astype(np.float32),
        "w_z": np.zeros(8, np.int8),
        "b": rng.integers(-300, 300, 8).astype(np.int32),
        "y_s": np.float32(0.08),
        "y_z": np.uint8(100),
    }
    proto = model(nodes, {"x": SHAPE}, ["y"], consts)
    proto.graph.input[0].type.tensor_type.elem_type = kind
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


X, Y = ["x", "x_s", "x_z"], ["y_s", "y_z"]
KERNELS = {
    "QLinearConv": helper.make_node(
        "QLinearConv", [*X, "w", "w_s", "w_z", *Y, "b"], ["y"], name="node"
    ),
    "QLinearAdd": helper.make_node(
        "QLinearAdd", [*X, *X, *Y], ["y"], name="node", domain="com.microsoft"
    ),
    "QLinearConcat": helper.make_node(
        "QLinearConcat", [*Y, *X, *X], ["y"], name="node", domain="com.microsoft", axis=1
    ),
    "QLinearGlobalAveragePool": helper.make_node(
        "QLinearGlobalAveragePool", [*X, *Y], ["y"], name="node", domain="com.microsoft"
    ),
}


@pytest.mark.parametrize("op", list(KERNELS))
def test_integer_kernels_between_an_integer_input_and_an_integer_output(op: str) -> None:
    proto = of_integers([KERNELS[op]])
    codes = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    expected = float_outputs(proto, {"x": codes})
    x = {"x": codes.astype(np.float32)}
    assert hexconv.check(proto).ok
    matches(proto, 1.01, feeds=x, expected=[values.astype(np.float32) for values in expected])


def test_integers_that_are_computed_with_are_an_error() -> None:
    add = helper.make_node("BitwiseNot", ["q"], ["y"], name="not")
    assert "QuantizeLinear" in unsupported_op(quantized(quantizer(result="q"), add))
