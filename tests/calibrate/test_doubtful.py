"""Samples that tell nothing of real use are named in one warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.errors import HexconvWarning
from tests.lowering.proof import Array, model, numbers

SHAPE = (1, 4, 8)


def warned(samples: list[dict[str, Array]]) -> list[str]:
    """The warnings of converting a Linear layer; NumPy's are errors."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "h"], ["y"]),
    ]
    proto = model(nodes, {"x": SHAPE, "h": SHAPE}, ["y"], {"w": numbers((8, 8))})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", HexconvWarning)
        made = hexconv.convert(proto, samples=samples)
        hexconv.simulate(made, samples[0])
    return [str(item.message) for item in caught]


def two(x: Array, h: Array) -> list[dict[str, Array]]:
    return [{"x": x * np.float32(scale), "h": h * np.float32(scale)} for scale in (1.0, 0.5)]


@pytest.mark.parametrize(
    ("value", "why"),
    [(0.0, "of 'h': all zero"), (1e-12, "of 'h': they never leave [5e-13, 1e-12]")],
)
def test_an_input_that_is_silent_is_named(value: float, why: str) -> None:
    (text,) = warned(two(numbers(SHAPE), np.full(SHAPE, value, np.float32)))
    assert why in text
    assert "samples= from real use" in text


def test_inputs_with_one_fault_share_a_warning() -> None:
    zero = np.zeros(SHAPE, np.float32)
    (text,) = warned(two(zero, zero))
    assert "of 'x', 'h': all zero" in text


def test_samples_that_are_all_the_same_are_named() -> None:
    (text,) = warned([{"x": numbers(SHAPE), "h": numbers(SHAPE)}] * 3)
    assert "all 3 samples are the same" in text


@pytest.mark.parametrize("place", [0, 3, 7])
def test_one_sample_that_is_far_too_loud_is_named(place: int) -> None:
    samples = [{"x": numbers(SHAPE, seed), "h": numbers(SHAPE, seed + 9)} for seed in range(8)]
    samples[place]["x"] = samples[place]["x"] * np.float32(1e5)
    text = next(text for text in warned(samples) if "SAMPLES" in text)
    assert f"of 'x': sample {place + 1} reaches" in text and "'h'" not in text


def test_some_loud_samples_and_a_silent_one_need_no_warning() -> None:
    samples = [
        {"x": numbers(SHAPE, seed) * np.float32(10.0**-seed), "h": numbers(SHAPE, seed + 9)}
        for seed in range(4)
    ]
    assert not warned([*samples, {"x": np.zeros(SHAPE, np.float32), "h": numbers(SHAPE)}])


def test_an_input_that_never_changes_while_others_do_is_named() -> None:
    (text,) = warned([{"x": numbers(SHAPE, seed), "h": numbers(SHAPE)} for seed in range(4)])
    assert "of 'h': the same values in all 4 samples, while other inputs vary" in text
    assert "constants={" in text and "'x'" not in text


def test_whole_numbers_that_never_change_need_no_warning() -> None:
    positions = np.broadcast_to(np.arange(8, dtype=np.float32), SHAPE)
    assert not warned([{"x": numbers(SHAPE, seed), "h": positions} for seed in range(4)])


def test_varied_samples_need_no_warning() -> None:
    assert not warned(two(numbers(SHAPE), numbers(SHAPE)))
