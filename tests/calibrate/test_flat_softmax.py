"""Softmax over hundreds of values keeps the mass of its rows."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.compare.accuracy import accuracy
from hexconv.errors import HexconvWarning
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, numbers, same_on_the_library


def attention(shape: tuple[int, ...], sharpness: float, mask: float = 0.0) -> onnx.ModelProto:
    """softmax(q q' * sharpness + mask) v; the mask hides the second half of the frames."""
    rank, frames = len(shape), shape[-2]
    perm = [*range(rank - 2), rank - 1, rank - 2]
    hidden = np.zeros(frames, np.float32)
    hidden[frames // 2 :] = mask
    nodes = [
        helper.make_node("Transpose", ["q"], ["k"], perm=perm),
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Mul", ["a", "sharpness"], ["b"]),
        helper.make_node("Add", ["b", "mask"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    consts: dict[str, Array] = {"sharpness": np.array(sharpness, np.float32), "mask": hidden}
    return model(nodes, {"q": shape, "v": shape}, ["y"], consts)


def feeds(shape: tuple[int, ...], seed: int) -> dict[str, Array]:
    return {"q": numbers(shape, seed), "v": numbers(shape, seed + 50) + np.float32(0.5)}


def against_float(proto: onnx.ModelProto, samples: list[dict[str, Array]]) -> tuple[float, float]:
    """SQNR in dB on the first sample, and the mean of y over that of the float model."""
    got = hexconv.simulate(hexconv.convert(proto, samples=samples), samples[0])["y"]
    wanted = FloatSession(load(proto)).run(samples[0])["y"]
    noise = ((got - wanted) ** 2).sum()
    return float(10 * np.log10((wanted**2).sum() / noise)), float(got.mean() / wanted.mean())


# 255 levels of 0..1 leave 30 dB of 100 frames, 14 of 200 and nothing of 800.
@pytest.mark.parametrize(
    "shape", [(1, 2, 130, 8), (1, 100, 16), (1, 200, 16), (1, 2, 180, 8), (300, 16)]
)
@pytest.mark.parametrize("mask", [0.0, -1e9])
def test_flat_attention_keeps_its_mass(shape: tuple[int, ...], mask: float) -> None:
    samples = [feeds(shape, seed) for seed in range(2)]
    decibels, mean = against_float(attention(shape, 0.05, mask), samples)
    assert decibels > 40.0
    assert mean == pytest.approx(1.0, abs=0.02)


def test_rows_with_a_high_score_of_their_own_keep_the_levels_of_like_sums() -> None:
    """A frame's score with itself is its largest: with a maximum for each row, their sums differ,
    and one range of the product has few levels for most (39 dB)."""
    samples = [feeds((1, 200, 16), seed) for seed in range(2)]
    assert against_float(attention((1, 200, 16), 0.1), samples)[0] > 42.0


def test_samples_of_unlike_scores_have_a_maximum_for_each_row() -> None:
    """Of one maximum for all samples 2 levels would be left to those whose scores are 5 lower."""
    shape = (1, 200, 200)
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    proto = model(nodes, {"x": shape, "v": (1, 200, 16)}, ["y"], {})
    samples = []
    for seed, level in enumerate((0.0, 5.0)):
        scores = np.float32(0.3) * numbers(shape, seed) + np.float32(level)
        samples.append({"x": scores, "v": numbers((1, 200, 16), seed) + np.float32(0.5)})
    assert against_float(proto, samples)[0] > 42.0


def to_constant_keys(
    frames: int, sharpness: float, apart: float
) -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """Attention whose rows have scores up to `apart` lower than the highest, and samples."""
    shape = (1, frames, 16)
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Add", ["a", "height"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    height = np.linspace(-apart, 0.0, frames, dtype=np.float32)[:, None]
    consts = {"k": np.float32(sharpness) * numbers((1, 16, frames), 3), "height": height}
    proto = model(nodes, {"q": shape, "v": shape}, ["y"], consts)
    return proto, [feeds(shape, seed) for seed in range(2)]


@pytest.mark.parametrize("apart", [2.0, 5.0])
@pytest.mark.parametrize("frames", [40, 200])
def test_attention_over_rows_of_unlike_scores_has_a_maximum_for_each(
    frames: int, apart: float
) -> None:
    """With one maximum for all, rows of low scores had 19 dB."""
    decibels, mean = against_float(*to_constant_keys(frames, 0.05, apart))
    assert decibels > 43.0
    assert mean == pytest.approx(1.0, abs=0.02)


def test_peaked_attention_over_many_frames_keeps_its_mass() -> None:
    """One probability near 1 kept the library's op for all rows: a tenth of the mass was lost."""
    decibels, mean = against_float(*to_constant_keys(700, 0.7, 0.0))
    assert decibels > 26.0
    assert mean == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("apart", [0.0, 1.5, 4.0])
def test_rows_of_unlike_scores_are_as_right_as_rows_of_like_ones(apart: float) -> None:
    """With one maximum for all rows, exp has few levels for those of low scores."""
    proto = model([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], {"x": (12, 20)}, ["y"], {})
    offsets = np.linspace(-apart, 0.0, 12, dtype=np.float32)[:, None]
    samples = [{"x": 0.3 * numbers((12, 20), seed) + offsets} for seed in range(3)]
    made = hexconv.convert(proto, samples=samples)
    same_on_the_library(made, samples[0])
    wanted = np.stack([FloatSession(load(proto)).run(feed)["y"] for feed in samples])
    got = np.stack([hexconv.simulate(made, feed)["y"] for feed in samples])
    assert 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()) > 37.0


def test_the_probabilities_may_be_the_output() -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=-1)]
    proto = model(nodes, {"x": (2, 1000)}, ["y"], {})
    samples = [{"x": numbers((2, 1000), seed) * np.float32(0.1)} for seed in range(2)]
    assert against_float(proto, samples)[0] > 40.0


@pytest.mark.parametrize("axis", [1, -1])
def test_probabilities_that_are_read_themselves_have_levels_of_their_own_range(axis: int) -> None:
    """Of 0..1, values up to 0.2 have 50 levels: 21 dB, where their own range allows 34."""
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=axis)]
    proto = model(nodes, {"x": (1, 100, 37)}, ["y"], {})
    samples = [{"x": numbers((1, 100, 37), seed) * np.float32(0.5)} for seed in range(2)]
    samples[0]["x"][:, 5] += 1.5 if axis == 1 else 0
    assert against_float(proto, samples)[0] > 30.0


@pytest.mark.parametrize("axis", [1, 3])
def test_probabilities_up_to_a_half_that_are_read_on_have_them_too(axis: int) -> None:
    """29 dB of 0..1; one that is returned keeps 0..1, in which a surer one has its value."""
    shape = (1, 31, 3, 33)
    softmax = helper.make_node("Softmax", ["x"], ["p"], axis=axis)
    leaky = helper.make_node("LeakyRelu", ["p"], ["y"], alpha=0.3)
    samples = [{"x": numbers(shape, seed)} for seed in range(2)]
    proto = model([softmax, leaky], {"x": shape}, ["y"], {})
    assert against_float(proto, samples)[0] > 35.0
    same_on_the_library(hexconv.convert(proto, samples=samples), samples[0])
    flat = helper.make_node("Flatten", ["p"], ["y"])
    returned = hexconv.convert(model([softmax, flat], {"x": shape}, ["y"], {}), samples=samples)
    assert returned.graph.histogram()["QuantizedSoftmax_8"] == 1


def test_probabilities_that_are_normalized_have_them_too() -> None:
    """All near 0.15: the differences that a norm is made of had 12 levels of 0..1."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"], axis=-1),
        helper.make_node("LayerNormalization", ["p", "g"], ["y"], axis=-1, epsilon=1e-6),
    ]
    proto = model(nodes, {"x": (3, 7, 7)}, ["y"], {"g": np.ones(7, np.float32)})
    samples = [{"x": numbers((3, 7, 7), seed) * np.float32(0.1)} for seed in range(2)]
    assert against_float(proto, samples)[0] > 24.0


@pytest.mark.parametrize(
    ("heads", "frames", "sharpness"), [(1, 60, 0.4), (1, 200, 1.0), (4, 144, 0.02)]
)
def test_peaked_rows_and_many_short_ones_keep_the_op_of_the_library(
    heads: int, frames: int, sharpness: float
) -> None:
    shape = (1, heads, frames, 16)
    made = hexconv.convert(attention(shape, sharpness), samples=[feeds(shape, 0)])
    assert made.graph.histogram()["QuantizedSoftmax_8"] == 1


def test_without_samples_the_ranges_of_what_is_made_are_measured_on_the_same_random_data() -> None:
    """Bounds that hold for any scores would leave a few levels of those that there are."""
    nodes = [
        helper.make_node("MatMul", ["x", "q"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    consts = {"q": 0.1 * numbers((16, 300), 2)}
    proto = model(nodes, {"x": (1, 200, 16)}, ["y"], consts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HexconvWarning)
        found = accuracy(hexconv.convert(proto), proto)["y"]
    assert found.allowed is not None and found.sqnr > found.allowed - 3.0
