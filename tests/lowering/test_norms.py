"""Normalisations, decomposed so that every range is static."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from tests.lowering.proof import decibels, matches, model, numbers, one

# 1/std comes from a table of 256 entries: some tenths of a percent, plus the roundings of x - mean
# and of the products (docs/nnlib/shipped-library.md#division).
STEPS = 2.0


@pytest.mark.parametrize("shape", [(2, 5, 7, 6), (1, 5, 40)])
def test_instance_norm(shape: tuple[int, ...]) -> None:
    matches(one("InstanceNormalization", shape, numbers(5), numbers(5, 2)), STEPS)


def test_a_norm_without_affine_costs_no_affine() -> None:
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    bare = one("InstanceNormalization", (1, 4, 6, 6), ones, zeros)
    assert matches(bare, STEPS).graph.histogram()["QuantizedMul_8x8to8"] == 2


@pytest.mark.parametrize("shape", [(1, 8, 7, 6), (2, 8, 5, 5), (2, 8, 30), (1, 64, 4, 4)])
def test_group_norm(shape: tuple[int, ...]) -> None:
    scale, bias = numbers(shape[1]), numbers(shape[1], 2)
    matches(one("GroupNormalization", shape, scale, bias, opset=21, num_groups=4), STEPS)


@pytest.mark.parametrize("axes", [[0, 2, 3], [2, 3], [1, 2, 3]])
def test_mean_variance_normalization(axes: list[int]) -> None:
    matches(one("MeanVarianceNormalization", (2, 5, 7, 6), axes=axes), STEPS)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("order", [1, 2])
def test_lp_normalization(axis: int, order: int) -> None:
    matches(one("LpNormalization", (2, 5, 7, 6), axis=axis, p=order), STEPS)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(size: int) -> None:
    matches(one("LRN", (2, 12, 5, 5), size=size, alpha=0.1, beta=0.6, bias=1.5), 1.5)


def test_an_even_local_window_reaches_further_up() -> None:
    """ONNX Runtime takes odd sizes only: NumPy, from ONNX's definition."""
    data = np.random.default_rng(0).integers(-128, 128, (1, 7, 4, 4)).astype(np.float32) / 32
    padded = np.pad(data**2, ((0, 0), (1, 2), (0, 0), (0, 0)))
    sums = sum(padded[:, i : i + 7] for i in range(4))
    wanted = (data / (1.0 + 0.1 / 4 * sums) ** 0.75).astype(np.float32)
    matches(one("LRN", data.shape, size=4, alpha=0.1), 1.5, {"x": data}, [wanted])


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_layer_norm_over_trailing_axes(axis: int) -> None:
    shape = (2, 5, 7, 6)
    part = shape[axis:]
    matches(one("LayerNormalization", shape, numbers(part), numbers(part, 2), axis=axis), STEPS)


def test_layer_norm_returns_mean_and_deviation() -> None:
    proto = one("LayerNormalization", (2, 5, 64), numbers(64), numbers(64, 2), outputs=3)
    matches(proto, STEPS)


@pytest.mark.parametrize("shape", [(4, 9), (2, 9, 11), (2, 9, 5, 4)])
def test_batch_norm_of_every_rank(shape: tuple[int, ...]) -> None:
    """One product and sum in int32; scales of 8 bits add up to half an LSB."""
    values = [np.abs(numbers(9, seed)) + 0.1 for seed in range(4)]
    matches(one("BatchNormalization", shape, *values), 1.1)


@pytest.mark.parametrize("scale", [1e-3, 3e-4, 1e-5, 1e-9])
@pytest.mark.parametrize("form", ["BatchNormalization", "Affine"])
def test_an_addend_far_above_the_data_does_not_wrap(form: str, scale: float) -> None:
    generator = np.random.default_rng(1)
    shape = (1, 6, 30) if form == "BatchNormalization" else (1, 30, 6)
    consts = {"s": generator.uniform(0.5, 1.5, 6).astype(np.float32), "b": 0.5 * numbers((6,), 3)}
    if form == "BatchNormalization":
        consts |= {"m": np.zeros(6, np.float32), "v": np.ones(6, np.float32)}
        nodes = [helper.make_node(form, ["x", "s", "b", "m", "v"], ["y"])]
    else:
        nodes = [
            helper.make_node("Mul", ["x", "s"], ["p"]),
            helper.make_node("Add", ["p", "b"], ["y"]),
        ]
    proto = model(nodes, {"x": shape}, ["y"], consts)
    assert decibels(proto, [{"x": np.float32(scale) * numbers(shape, i)} for i in range(2)]) > 40.0


@pytest.mark.parametrize("factor", [1e-4, 1e-6])
def test_a_batch_norm_of_tiny_data_in_a_range_far_below_its_offset_fits(factor: float) -> None:
    """The library adds offset and minimum of the range in 32 bits."""
    nodes = [
        helper.make_node("Mul", ["x", "f"], ["t"]),
        helper.make_node("Tanh", ["t"], ["m"]),
        helper.make_node("BatchNormalization", ["m", "s", "b", "a", "v"], ["n"]),
        helper.make_node("Pad", ["n", "p", "c"], ["y"]),
    ]
    consts = {"f": np.float32(factor), "s": numbers((4,)), "b": 0.2 * numbers((4,), 2)}
    consts |= {"a": np.zeros(4, np.float32), "v": np.ones(4, np.float32), "c": np.float32(-10)}
    consts["p"] = np.array([0, 0, 1, 0, 0, 1], np.int64)
    proto = model(nodes, {"x": (1, 4, 9)}, ["y"], consts)
    assert decibels(proto, [{"x": numbers((1, 4, 9), 5)}], optimize="none") > 40


@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_a_batch_norm_of_an_input_converts_whatever_its_offset(offset: float) -> None:
    """A run may be a million times quieter: a ratio of scales below 2^-29 has no factor."""
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "a", "v"], ["y"])
    consts = {"s": np.float32([1.5]), "b": np.float32([offset])}
    consts |= {"a": np.float32([0]), "v": np.float32([1])}
    proto = model([node], {"x": (1, 1, 6, 7)}, ["y"], consts)
    assert decibels(proto, [{"x": np.abs(numbers((1, 1, 6, 7))) + 1}]) > 40
