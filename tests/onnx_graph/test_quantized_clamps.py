"""QuantizeLinear saturates: what a quantizer left out because of that is part of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.errors import HexconvError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import numbers
from tests.onnx_graph.models import model, node, original_outputs

SHAPE = (1, 6, 1, 40)
SAMPLES = [{"x": numbers(SHAPE, seed)} for seed in range(6)]


def sqnr(expected: Any, found: Any) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def conv(*behind: onnx.NodeProto, scale: float, zero: Any, outputs: str = "y") -> onnx.ModelProto:
    """Conv, QuantizeLinear, DequantizeLinear (as `r`), and what is behind."""
    nodes = [
        node("Conv", "x w b", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("DequantizeLinear", "q s z", "r"),
        *behind,
    ]
    consts = {
        "w": 0.4 * numbers((6, 6, 1, 1)),
        "b": 0.2 * numbers((6,), 2),
        "s": np.float32(scale),
        "z": zero,
        "one": np.float32(1.0),
        "g": np.linspace(0.5, 1.5, 6),
        "m": np.linspace(0.1, 0.4, 6),
    }
    opset = (
        21 if zero.dtype.itemsize > 1 else 19
    )  # ONNX Runtime's own optimizer fails on int8 at 21
    return model(nodes, {"x": SHAPE}, [outputs], consts, opset)


BEHIND = {
    "BatchNormalization": [node("BatchNormalization", "r g m m g", "y")],
    "Sqrt": [node("Sqrt", "r", "y")],
    "Log": [node("Add", "r one", "p"), node("Log", "p", "y")],
    "MaxPool": [node("MaxPool", "r", "y", kernel_shape=[1, 2], strides=[1, 2])],
    "itself": [node("Identity", "r", "y")],
}
ZEROS = {"uint8": np.uint8(0), "int8": np.int8(-128), "uint16": np.uint16(0)}


def faithful(proto: onnx.ModelProto, least: float, feeds: Any = SAMPLES) -> None:
    """The canonical form is the quantized model within its rounding, and so is what the DSP has."""
    session, converted = FloatSession(load(proto)), hexconv.convert(proto, samples=feeds)
    expected = np.stack([original_outputs(proto, feed)[0] for feed in feeds])
    assert sqnr(expected, np.stack([session.run(feed)["y"] for feed in feeds])) > least
    found = [hexconv.simulate(converted, feed, library="v60")["y"] for feed in feeds]
    assert sqnr(expected, np.stack(found)) > least


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("behind", BEHIND)
def test_a_relu_that_was_left_out_is_there(behind: str, zero: str) -> None:
    steps = 65535 if zero == "uint16" else 255
    faithful(conv(*BEHIND[behind], scale=3.0 / steps, zero=ZEROS[zero]), 34)


@pytest.mark.parametrize(("scale", "zero"), [(2 / 255, np.uint8(128)), (1.2 / 255, np.int8(-60))])
def test_a_clip_that_was_left_out_is_there(scale: float, zero: Any) -> None:
    faithful(conv(node("Neg", "r", "y"), scale=scale, zero=zero), 30)


def test_a_clamp_below_zero_only() -> None:
    faithful(conv(node("Neg", "r", "y"), scale=3 / 255, zero=np.uint8(255)), 34)


def test_the_clamp_of_what_cannot_be_negative_costs_nothing() -> None:
    nodes = [
        node("Sigmoid", "x", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("DequantizeLinear", "q s z", "r"),
        node("Neg", "r", "y"),
    ]
    consts = {"s": np.float32(1 / 255), "z": np.uint8(0)}
    graph = load(model(nodes, {"x": SHAPE}, consts=consts))
    assert [item.op_type for item in graph.nodes] == ["Sigmoid", "Neg"]


def test_what_enters_a_quantized_model_is_clamped() -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "r"),
        node("Neg", "r", "y"),
    ]
    proto = model(nodes, {"x": SHAPE}, consts={"s": np.float32(2 / 255), "z": np.uint8(128)})
    loud = [{"x": 3 * feed["x"]} for feed in SAMPLES]
    faithful(proto, 28, loud)


SECOND = {
    "behind": [node("QuantizeLinear", "r s2 z2", "q2")],
    "behind a Reshape": [
        node("Reshape", "r flat", "f"),
        node("QuantizeLinear", "f s2 z2", "q2"),
    ],
    "beside": [node("QuantizeLinear", "c s2 z2", "q2")],
}
TWO_RANGES = {  # scale and zero point of the first and of the second
    "the second is narrower": (2 / 255, 128, 1.1 / 255, 116),
    "the first is narrower": (1.1 / 255, 116, 2 / 255, 128),
    "each at one end": (1.4 / 255, 73, 1.6 / 255, 159),
}


@pytest.mark.parametrize("ranges", TWO_RANGES)
@pytest.mark.parametrize("second", SECOND)
def test_a_tensor_that_is_quantized_twice_is_clamped_twice(second: str, ranges: str) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("DequantizeLinear", "q s z", "r"),
        *SECOND[second],
        node("DequantizeLinear", "q2 s2 z2", "r2"),
        node("Neg", "r2", "y"),
        *([node("Sigmoid", "r", "v")] if second == "beside" else []),
    ]
    scale, zero, scale_2, zero_2 = TWO_RANGES[ranges]
    consts = {
        "w": 0.8 * numbers((6, 6, 1, 1)),
        "s": np.float32(scale),
        "z": np.uint8(zero),
        "s2": np.float32(scale_2),
        "z2": np.uint8(zero_2),
        "flat": np.array([1, 6, 40]),
    }
    outputs = ["y", "v"] if second == "beside" else ["y"]
    faithful(model(nodes, {"x": SHAPE}, outputs, consts), 30)


ON_CODES = {
    "Clip": [node("Clip", "q lo hi", "k")],
    "Clip above": [node("Clip", "q _ hi", "k")],
    "Max, Min": [node("Max", "q lo", "l"), node("Min", "hi l", "k")],
    "Relu": [node("Relu", "q", "k")],
    "Pad": [node("Pad", "q pads", "k")],
    "Pad with a code": [node("Pad", "q pads lo", "k")],
    "Concat": [node("Concat", "q q", "k", axis=1)],
    "Resize": [node("Resize", "q _ twice", "k", mode="nearest")],
    "Max of channels": [node("Max", "q rows", "k")],
    "Where": [node("Where", "mask q lo", "k")],
    "Where, Less": [node("Less", "q hi", "m"), node("Where", "m q hi", "k")],
    "Where, Greater": [node("Greater", "lo q", "m"), node("Where", "m lo q", "k")],
    "Where, GreaterOrEqual": [node("GreaterOrEqual", "hi q", "m"), node("Where", "m q hi", "k")],
    "Cast, Clip": [
        node("Cast", "q", "i", to=TensorProto.INT32),
        node("Clip", "i low high", "j"),
        node("Cast", "j", "k", to=TensorProto.INT8),
    ],
    "Cast, Reshape, Max, Relu": [
        node("Cast", "q", "i", to=TensorProto.FLOAT),
        node("Reshape", "i flat", "j"),
        node("Max", "number j", "l"),
        node("Relu", "l", "o"),
        node("Cast", "o", "p", to=TensorProto.INT8),
        node("Reshape", "p whole", "k"),
    ],
}


@pytest.mark.parametrize("ops", ON_CODES)
def test_ops_on_integers_mean_what_the_integers_stand_for(ops: str) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        *ON_CODES[ops],
        node("DequantizeLinear", "k s z", "r"),
        node("Mul", "r half", "y"),
    ]
    consts = {
        "w": 0.4 * numbers((6, 6, 1, 1)),
        "s": np.float32(4 / 255),
        "z": np.int8(-20),
        "lo": np.array(-40, np.int8),
        "hi": np.array(60, np.int8),
        "pads": np.array([0, 0, 0, 1, 0, 0, 0, 2]),
        "twice": np.float32([1, 1, 1, 2]),
        "half": np.float32(0.5),
        "rows": np.arange(-60, 60, 20, dtype=np.int8).reshape(1, 6, 1, 1),
        "mask": (np.arange(240) % 3 > 0).reshape(SHAPE),
        "low": np.array(-900, np.int32),
        "high": np.array(60, np.int32),
        "number": np.float32(7.0),
        "flat": np.array([6, 40]),
        "whole": np.array(SHAPE),
    }
    if ops == "Relu":  # ONNX Runtime has no Relu of integers: the same by Max with 0
        consts["lo"] = np.array(0, np.int8)
        reference = model(
            [*nodes[:2], node("Max", "q lo", "k"), *nodes[3:]], {"x": SHAPE}, consts=consts
        )
    else:
        reference = model(nodes, {"x": SHAPE}, consts=consts)
    proto = model(nodes, {"x": SHAPE}, consts=consts)
    expected = np.stack([original_outputs(reference, feed)[0] for feed in SAMPLES])
    converted = hexconv.convert(proto, samples=SAMPLES)
    found = np.stack([hexconv.simulate(converted, feed)["y"] for feed in SAMPLES])
    assert sqnr(expected, found) > 31


@pytest.mark.parametrize("bound", [200.0, 6.5], ids=["past the type", "not whole"])
def test_a_bound_that_is_no_integer_of_the_type_is_rejected(bound: float) -> None:
    """The cast back would wrap around, or round."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("Cast", "q", "i", to=TensorProto.FLOAT),
        node("Max", "i bound", "j"),
        node("Cast", "j", "k", to=TensorProto.INT8),
        node("DequantizeLinear", "k s z", "y"),
    ]
    consts = {"s": np.float32(0.02), "z": np.int8(3), "bound": np.float32([bound, *range(39)])}
    with pytest.raises(HexconvError, match="int8"):
        hexconv.convert(model(nodes, {"x": SHAPE}, consts=consts), samples=SAMPLES)


def test_integers_that_are_read_with_another_scale() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("DequantizeLinear", "q t u", "r"),
        node("Neg", "r", "y"),
    ]
    consts = {
        "w": 0.4 * numbers((6, 6, 1, 1)),
        "s": np.float32(5 / 255),
        "z": np.uint8(128),
        "t": np.float32(0.05),
        "u": np.uint8(120),
    }
    faithful(model(nodes, {"x": SHAPE}, consts=consts), 32)


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16])
def test_weights_of_4_and_16_bits(kind: int) -> None:
    low, high = {TensorProto.INT4: (-8, 8), TensorProto.UINT4: (0, 16)}.get(kind, (-3e4, 3e4))
    codes = np.random.default_rng(5).integers(int(low), int(high), 36).tolist()
    step = np.float32(2.0 / (high - low))
    nodes = [node("DequantizeLinear", "k t", "w"), node("Conv", "x w", "y")]
    proto = model(nodes, {"x": SHAPE}, consts={"t": step}, opset=21)
    proto.ir_version = 10
    proto.graph.initializer.append(helper.make_tensor("k", kind, (6, 6, 1, 1), codes))
    faithful(proto, 34)


def relu_between(kind: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Linear, Relu, Linear: with tensors of 16 bits from -8 to 8, and in float."""
    floats = [node("MatMul", "x w", "c"), node("Relu", "c", "r"), node("MatMul", "r v", "y")]
    draw = np.random.default_rng(3)
    weights = {name: np.float32(draw.normal(0, 0.3, (6, 6))) for name in "wv"}
    consts = {**weights, "s": np.float32(8 / 32767), "z": kind}
    pairs = [
        node("MatMul", "x w", "c"),
        node("Relu", "c", "r"),
        node("QuantizeLinear", "r s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("MatMul", "d v", "y"),
    ]
    shape = (1, 20, 6)
    return model(pairs, {"x": shape}, consts=consts, opset=21), model(
        floats, {"x": shape}, consts=weights
    )


@pytest.mark.parametrize("zero", [np.int16(0), np.uint16(32768)])
def test_a_range_of_16_bits_gives_way_to_what_the_samples_use_of_it(zero: Any) -> None:
    quantized, plain = relu_between(zero)
    draw = np.random.default_rng(4)
    samples = [{"x": np.float32(draw.normal(0, 0.5, (1, 20, 6)))} for _ in range(4)]
    figures = [
        accuracy(hexconv.convert(proto, samples=samples), proto, samples)["y"].sqnr
        for proto in (plain, quantized)
    ]
    assert abs(figures[0] - figures[1]) < 1
    assert hexconv.convert(quantized, samples=samples).ranges["r"][1] < 4
    low, high = hexconv.convert(quantized, input_ranges={"x": (-2, 2)}).ranges["r"]
    assert low < -7.9 and high > 7.9


MADE_BY = {
    "Mul": [node("Mul", "x k", "c")],
    "Sub": [node("Sub", "k x", "c")],
    "Abs": [node("Abs", "x", "c")],
    "LeakyRelu": [node("LeakyRelu", "x", "c", alpha=0.3)],
    "Concat": [node("Neg", "x", "n"), node("Concat", "x n", "c", axis=3)],
    "Sigmoid": [node("Sigmoid", "x", "c")],
    "LayerNormalization": [node("LayerNormalization", "x g40", "c")],
}
READ_BY = {
    "Neg": [node("Neg", "r", "y")],
    "Mul": [node("Mul", "r k", "y")],
    "Concat": [node("Concat", "r x", "y", axis=3)],
    "Softmax": [node("Softmax", "r", "y", axis=3)],
    "Swish": [node("Sigmoid", "r", "s1"), node("Mul", "r s1", "y")],
    "itself": [node("Identity", "r", "y")],
}


def narrowed(maker: str, reader: str, optimize: str = "default") -> None:
    proto = between(MADE_BY[maker], READ_BY[reader])
    expected = np.stack([original_outputs(proto, feed)[0] for feed in SAMPLES])
    converted = hexconv.convert(proto, samples=SAMPLES, optimize=optimize)
    found = [hexconv.simulate(converted, feed, library="v60")["y"] for feed in SAMPLES]
    assert sqnr(expected, np.stack(found)) > 30


def between(
    maker: list[onnx.NodeProto], reader: list[onnx.NodeProto], least: float = -0.4
) -> onnx.ModelProto:
    """A tensor `c`, quantized from `least` to 0.45 (as `r`), and what reads it."""
    step = (0.45 - least) / 255
    pair = [node("QuantizeLinear", "c s z", "q"), node("DequantizeLinear", "q s z", "r")]
    consts = {
        "k": np.float32(1.7),
        "g40": np.ones(40),
        "s": np.float32(step),
        "z": np.uint8(round(-least / step)),
    }
    return model([*maker, *pair, *reader], {"x": SHAPE}, consts=consts)


@pytest.mark.parametrize("maker", MADE_BY)
def test_a_quantizer_clamps_whatever_it_quantizes(maker: str) -> None:
    narrowed(maker, "Neg")


@pytest.mark.parametrize("optimize", ["none", "default"])
@pytest.mark.parametrize("reader", READ_BY)
def test_a_quantizer_clamps_for_whatever_reads_it(reader: str, optimize: str) -> None:
    narrowed("Mul", reader, optimize)


@pytest.mark.parametrize("kind", ["samples", "ranges", "again", "neither"])
def test_a_clamp_holds_wherever_the_ranges_are_from(kind: str) -> None:
    proto = between(MADE_BY["Mul"], READ_BY["Neg"])
    by_samples = hexconv.convert(proto, samples=iter(SAMPLES))
    by_ranges = hexconv.convert(proto, ranges=by_samples.ranges)
    converted = {
        "samples": by_samples,
        "ranges": by_ranges,
        "again": hexconv.convert(proto, ranges=by_ranges.ranges),
        "neither": hexconv.convert(proto, input_ranges={"x": (-3, 3)}),
    }[kind]
    expected = np.stack([original_outputs(proto, feed)[0] for feed in SAMPLES])
    found = [hexconv.simulate(converted, feed, library="v60")["y"] for feed in SAMPLES]
    assert sqnr(expected, np.stack(found)) > 30


def test_a_clamp_that_no_sample_reaches_leaves_no_trace() -> None:
    proto = between([node("Sigmoid", "x", "c")], [node("Mul", "x r", "y")], least=0.0)
    quiet = [{"x": np.minimum(feed["x"], -0.3)} for feed in SAMPLES]
    swish = hexconv.convert(proto, samples=quiet)
    assert ("recognized", "swish_from_sigmoid", 1) in swish.conversion.rewrites
    clamped = hexconv.convert(proto, samples=SAMPLES)
    assert ("recognized", "swish_from_sigmoid", 1) not in clamped.conversion.rewrites


def test_a_part_of_a_concatenation_is_clamped_though_another_is_not() -> None:
    wide = [
        node("QuantizeLinear", "x t z", "p"),
        node("DequantizeLinear", "p t z", "w"),
        node("Concat", "r w", "j", axis=1),
        node("QuantizeLinear", "j t z", "o"),
        node("DequantizeLinear", "o t z", "d"),
        node("Neg", "d", "y"),
    ]
    proto = between(MADE_BY["Mul"], wide)
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(6 / 255), "t"))
    faithful(proto, 30)


def test_both_quantizations_of_a_tensor_can_be_outputs() -> None:
    pair = [node("QuantizeLinear", "r t z", "p"), node("DequantizeLinear", "p t z", "y")]
    proto = between(MADE_BY["Mul"], pair)
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(3 / 255), "t"))
    proto.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, SHAPE))
    converted = hexconv.convert(proto, samples=SAMPLES)
    for place, name in enumerate(["y", "r"]):
        expected = np.stack([original_outputs(proto, feed)[place] for feed in SAMPLES])
        found = [hexconv.simulate(converted, feed, library="v60")[name] for feed in SAMPLES]
        assert sqnr(expected, np.stack(found)) > 30
