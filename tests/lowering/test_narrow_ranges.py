"""Ranges narrower than 1e-6, which the library's sums, products and batch norms widen."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from tests.lowering.proof import Array, decibels, model, numbers

SHAPE = (1, 8, 6, 6)
SCALES = [1e-5, 1e-7, 1e-10]


def behind_small_convolutions(scale: float, *nodes: NodeProto, **consts: Array) -> ModelProto:
    """Nodes of `t` and `u`, two convolutions of x whose results are about `scale`."""
    kernels = {
        name: numbers((8, 8, 1, 1), seed) * np.float32(scale) for seed, name in enumerate("vw")
    }
    pair = [helper.make_node("Conv", ["x", k], [t]) for k, t in zip("vw", "tu", strict=True)]
    return model([*pair, *nodes], {"x": SHAPE}, ["y"], kernels | consts, opset=17)


def samples() -> list[dict[str, Array]]:
    return [{"x": numbers(SHAPE, seed)} for seed in range(4)]


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("op", ["Add", "Sub", "Max"])
def test_two_small_tensors(op: str, scale: float, level: str) -> None:
    proto = behind_small_convolutions(scale, helper.make_node(op, ["t", "u"], ["y"]))
    assert decibels(proto, samples(), optimize=level) > 33.0


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("scale", [1e-4, 1e-5, 1e-6])
def test_the_square_of_a_small_tensor(scale: float, level: str) -> None:
    proto = behind_small_convolutions(scale, helper.make_node("Mul", ["t", "t"], ["y"]))
    assert decibels(proto, samples(), optimize=level) > 30.0


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("scale", SCALES)
def test_a_batch_norm_of_a_small_tensor(scale: float, level: str) -> None:
    proto = behind_small_convolutions(
        scale,
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("BatchNormalization", ["r", "gamma", "beta", "mean", "var"], ["y"]),
        gamma=numbers((8,), 3),
        beta=numbers((8,), 4) * np.float32(scale),
        mean=np.zeros(8, np.float32),
        var=np.ones(8, np.float32),
    )
    assert decibels(proto, samples(), optimize=level) > 33.0


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("scale", SCALES)
def test_what_makes_a_small_sum_large_again(scale: float, level: str) -> None:
    nodes = [
        helper.make_node("Add", ["t", "u"], ["a"]),
        helper.make_node("Conv", ["a", "k"], ["y"]),
    ]
    kernel = numbers((8, 8, 1, 1), 5) / np.float32(scale)
    proto = behind_small_convolutions(scale, *nodes, k=kernel)
    assert decibels(proto, samples(), optimize=level) > 28.0


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("scale", [1e-8, 1e-12, 1e-20])
def test_a_norm_of_what_is_almost_zero_converts(scale: float, level: str) -> None:
    norm = helper.make_node("LayerNormalization", ["t", "g"], ["n"], axis=-1)
    proto = behind_small_convolutions(
        scale, norm, helper.make_node("Add", ["n", "x"], ["y"]), g=np.ones(6, np.float32)
    )
    assert decibels(proto, samples(), optimize=level) > 33.0


def test_projections_of_what_is_zero_convert() -> None:
    nodes = [
        helper.make_node("MatMul", ["t", "q"], ["y0"]),
        helper.make_node("MatMul", ["t", "k"], ["y1"]),
        helper.make_node("Add", ["y0", "y1"], ["s"]),
        helper.make_node("Add", ["s", "x"], ["y"]),
    ]
    weights = {name: numbers((6, 6), seed) for seed, name in enumerate("qk")}
    proto = behind_small_convolutions(1e-38, *nodes, **weights)
    assert hexconv.check(proto).ok
    assert decibels(proto, samples()) > 35.0
