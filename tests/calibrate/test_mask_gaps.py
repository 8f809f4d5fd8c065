"""What reaches as far below zero as a mask is one only if it has no values between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, numbers

FRAMES, WIDTH, CENTERS = 12, 8, 16
Nodes = list[NodeProto]


def distances(end: str) -> onnx.ModelProto:
    """A function of prior - |x - c|^2 of each center, which is -400 to 1."""
    center = numbers((WIDTH, CENTERS), seed=3) * 2
    consts: dict[str, Array] = {
        "c2": center * 2,
        "size": (center**2).sum(0),
        "last": np.array([2]),
        "prior": numbers((CENTERS,), seed=4) / 2,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "c2"], ["xc"]),
        helper.make_node("Mul", ["x", "x"], ["xx"]),
        helper.make_node("ReduceSum", ["xx", "last"], ["x2"]),
        helper.make_node("Add", ["x2", "size"], ["sizes"]),
        helper.make_node("Sub", ["xc", "sizes"], ["near"]),
        helper.make_node("Add", ["near", "prior"], ["scores"]),
        helper.make_node(end, ["scores"], ["y"], **({"axis": -1} if end == "Softmax" else {})),
    ]
    return model(nodes, {"x": (1, FRAMES, WIDTH)}, ["y"], consts)


def frames(seed: int) -> dict[str, Array]:
    return {"x": numbers((1, FRAMES, WIDTH), seed=seed) * 2}


def decibels(converted: Model, proto: onnx.ModelProto, feed: dict[str, Array]) -> float:
    (wanted,) = FloatSession(load(proto)).run(feed).values()
    noise = ((hexconv.simulate(converted, feed)["y"] - wanted) ** 2).sum()
    return float(10.0 * np.log10((wanted**2).sum() / noise))


def test_distances_with_a_bias_are_not_a_mask_of_the_bias() -> None:
    """A softmax of steps of 1.6 units keeps 20 dB; the distances clipped 14 below the bias 5."""
    proto = distances("Softmax")
    converted = hexconv.convert(proto, samples=[frames(seed) for seed in range(8)])
    assert decibels(converted, proto, frames(20)) > 20.0


def test_nor_are_they_where_only_ranges_are_known() -> None:
    proto = distances("Softmax")
    measured = hexconv.convert(proto, samples=[frames(seed) for seed in range(8)]).ranges
    ranges = {name: bounds for name, bounds in measured.items() if not name.endswith("/near")}
    converted = hexconv.convert(proto, ranges=ranges)
    assert decibels(converted, proto, frames(20)) > 20.0


def test_a_loud_tensor_with_a_bias_in_front_of_gelu_keeps_its_positive_values() -> None:
    """0 dB where it was clipped as a mask is, at 0."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["t"]),
        helper.make_node("Gelu", ["t"], ["y"]),
    ]
    consts = {"w": numbers((WIDTH, 9)) * 30, "b": numbers((9,), seed=2)}
    proto = model(nodes, {"x": (1, FRAMES, WIDTH)}, ["y"], consts, opset=20)
    converted = hexconv.convert(proto, samples=[frames(seed) for seed in range(4)])
    assert decibels(converted, proto, frames(20)) > 35.0


def masked(bias: Array | None) -> onnx.ModelProto:
    """Attention with a bias that is added to the scores: a constant, or an input."""
    consts = {} if bias is None else {"bias": bias}
    inputs = {"x": (1, FRAMES, WIDTH), **({"bias": (1, 1, FRAMES)} if bias is None else {})}
    nodes = [
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "k"], ["a"]),
        helper.make_node("Add", ["a", "bias"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "x"], ["y"]),
    ]
    return model(nodes, inputs, ["y"], consts)


def padded(count: int, far: float, seed: int) -> dict[str, Array]:
    bias = np.zeros((1, 1, FRAMES), np.float32)
    bias[..., FRAMES - count :] = far
    return {"x": numbers((1, FRAMES, WIDTH), seed=seed) / 2, "bias": bias}


@pytest.mark.parametrize("far", [-200.0, -1e4, -1e9])
def test_a_mask_that_is_an_input_leaves_the_scores_their_levels(tmp_path: Path, far: float) -> None:
    proto = masked(None)
    converted = hexconv.convert(proto, samples=[padded(n, far, n) for n in range(4)])
    assert decibels(converted, proto, padded(4, far, 20)) > 30.0
    converted.save(tmp_path)
    again = hexconv.convert(proto, ranges=next(tmp_path.glob("*.ranges")))
    assert decibels(again, proto, padded(4, far, 20)) > 30.0


def test_ranges_of_another_tool_tell_a_mask_by_its_ends() -> None:
    proto = masked(None)
    measured = hexconv.convert(proto, samples=[padded(n, -1e4, n) for n in range(4)]).ranges
    ranges = {name: bounds for name, bounds in measured.items() if not name.endswith("/near")}
    assert decibels(hexconv.convert(proto, ranges=ranges), proto, padded(4, -1e4, 20)) > 30.0


def test_a_bias_that_grows_with_the_distance_is_a_mask_of_what_is_far() -> None:
    """Every row has a 0, so what is 24 below hides whatever the scores are."""
    far = -60.0 * np.abs(np.subtract.outer(np.arange(FRAMES), np.arange(FRAMES)))
    proto = masked(far[None].astype(np.float32))
    samples = [{"x": numbers((1, FRAMES, WIDTH), seed=seed) / 2} for seed in range(4)]
    converted = hexconv.convert(proto, samples=samples)
    assert decibels(converted, proto, {"x": numbers((1, FRAMES, WIDTH), seed=20) / 2}) > 30.0


def test_a_constant_of_one_number_a_row_does_not_hide_the_row() -> None:
    """Softmax is the same for every such constant, and 0 dB where they were clipped."""
    shift = np.linspace(0.0, -400.0, FRAMES, dtype=np.float32)[None, :, None]
    proto = masked(shift)
    samples = [{"x": numbers((1, FRAMES, WIDTH), seed=seed)} for seed in range(4)]
    converted = hexconv.convert(proto, samples=samples)
    assert decibels(converted, proto, {"x": numbers((1, FRAMES, WIDTH), seed=20)}) > 15.0
