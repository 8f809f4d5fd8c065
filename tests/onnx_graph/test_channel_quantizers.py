"""Quantizers of activations with many scales, or with scales of the run: what they clamp, stays."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.errors import UnsupportedOpErrors
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import numbers, same_on_the_library, unsupported_op
from tests.onnx_graph.models import model, node, original_outputs

SHAPE = (1, 6, 4, 10)
SAMPLES = [{"x": numbers(SHAPE, seed)} for seed in range(4)]
SCALES = np.linspace(0.8, 2.0, 6, dtype=np.float32) / 255
ZEROS = {
    "Relu": np.zeros(6, np.uint8),
    "mirrored": np.full(6, 127, np.int8),
    "each its own": np.arange(0, 240, 40).astype(np.uint8),
    "int16": np.arange(-32768, 32768, 11_000).astype(np.int16),
}
ON_CODES: dict[str, list[onnx.NodeProto]] = {
    "nothing": [],
    "Clip": [node("Clip", "q lo hi", "k")],
    "Clip above": [node("Clip", "q _ hi", "k")],
    "Max, Min": [node("Max", "q lo", "l"), node("Min", "hi l", "k")],
}


def sqnr(expected: Any, found: Any) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def faithful(proto: onnx.ModelProto, least: float) -> None:
    """The canonical form is the quantized model within its rounding, and so is what the DSP has."""
    session, converted = FloatSession(load(proto)), hexconv.convert(proto, samples=SAMPLES)
    expected = np.stack([original_outputs(proto, feed)[0] for feed in SAMPLES])
    assert sqnr(expected, np.stack([session.run(feed)["y"] for feed in SAMPLES])) > least
    found = [hexconv.simulate(converted, feed, library="v60")["y"] for feed in SAMPLES]
    assert sqnr(expected, np.stack(found)) > least
    same_on_the_library(converted, SAMPLES[0])


def by_channel(zero: Any, *between: onnx.NodeProto, read: str = "s z") -> onnx.ModelProto:
    """Conv, QuantizeLinear and DequantizeLinear with a scale for each channel, Sigmoid."""
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        *between,
        node("DequantizeLinear", f"{'k' if between else 'q'} {read}", "r"),
        node("Sigmoid", "r", "y"),
    ]
    low, high = (10, 60) if zero.dtype.itemsize == 1 else (-9000, 20_000)
    consts = {
        "w": numbers((6, 6, 1, 1)),
        "s": SCALES if zero.dtype.itemsize == 1 else SCALES / 256,
        "z": zero,
        "s2": 2 * SCALES,
        "z2": np.full(6, 40, zero.dtype),
        "lo": np.array(low, zero.dtype),
        "hi": np.array(high, zero.dtype),
    }
    return model(nodes, {"x": SHAPE}, ["y"], consts, 21)


BOUNDED = product(ON_CODES, ["Relu", "mirrored", "each its own"])
"""ONNX Runtime bounds integers of 8 bits only."""


@pytest.mark.parametrize(("ops", "zero"), [*BOUNDED, ("nothing", "int16")])
def test_each_channel_is_clamped_to_what_its_integers_hold(ops: str, zero: str) -> None:
    faithful(by_channel(ZEROS[zero], *ON_CODES[ops]), 33)


def test_integers_that_are_read_with_other_scales() -> None:
    faithful(by_channel(ZEROS["each its own"], read="s2 z2"), 33)


def test_a_clamp_that_no_value_reaches_is_not_there() -> None:
    nodes = [
        node("Sigmoid", "x", "c"),
        node("QuantizeLinear", "c s z", "q", axis=-1),
        node("DequantizeLinear", "q s z", "y", axis=-1),
    ]
    consts = {"s": np.linspace(1, 2, 10, dtype=np.float32) / 255, "z": np.zeros(10, np.uint8)}
    graph = load(model(nodes, {"x": SHAPE}, ["y"], consts))
    assert [item.op_type for item in graph.nodes if item.op_type != "Identity"] == ["Sigmoid"]


def test_a_relu_of_every_channel_is_one_bound() -> None:
    ops = [item.op_type for item in load(by_channel(ZEROS["Relu"])).nodes]
    assert ops == ["Conv", "Clip", "Min", "Sigmoid"]


@pytest.mark.parametrize("block", [2, 4])
def test_scales_by_block(block: int) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q", axis=1, block_size=block),
        node("DequantizeLinear", "q s z", "y", axis=1, block_size=block),
    ]
    blocks = (1, -(-6 // block), 4, 10)
    scales = np.abs(numbers(blocks)) / 255 + np.float32(0.004)
    consts = {"w": numbers((6, 6, 1, 1)), "s": scales, "z": np.full(blocks, 90, np.uint8)}
    faithful(model(nodes, {"x": SHAPE}, ["y"], consts, 21), 33)


def dynamic(*between: onnx.NodeProto, last: str = "q") -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "c"),
        node("DynamicQuantizeLinear", "c", "q s z"),
        *between,
        node("DequantizeLinear", f"{last} s z", "y"),
    ]
    consts = {"w": numbers((6, 6, 1, 1)), "lo": np.uint8(0), "hi": np.uint8(127)}
    return model(nodes, {"x": SHAPE}, ["y"], consts, 21)


@pytest.mark.parametrize("moved", [False, True])
def test_a_dynamic_quantizer_clamps_nothing(moved: bool) -> None:
    moves = [
        node("MaxPool", "q", "p", kernel_shape=[2, 2]),
        node("Transpose", "p", "t", perm=[0, 2, 3, 1]),
    ]
    faithful(dynamic(*moves, last="t") if moved else dynamic(), 33)


def test_bounds_in_units_of_the_run_are_unsupported() -> None:
    """The clamp depends on the largest value of each run."""
    proto = dynamic(node("Clip", "q lo hi", "k"), last="k")
    assert not hexconv.check(proto).ok
    text = unsupported_op(proto)
    assert "computed at run time" in text and "convert_split" in text
    with pytest.raises(UnsupportedOpErrors, match="DynamicQuantizeLinear"):
        hexconv.convert(proto)
    assert hexconv.convert_split(proto, samples=SAMPLES).graph.outputs[0].name == "c"
