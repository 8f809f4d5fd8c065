"""Elementwise, reduction and 16-bit kernels stay within 1 LSB of exact arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels import (  # noqa: F401  (they register the kernels)
    compare,
    convert16,
    divide,
    elementwise,
    interface,
    layer_norm16,
    lookup,
    minmax,
    moments,
    multiply,
    prelu,
    reduce,
    requantize,
    unary,
    wide16,
)
from hexconv.simulator.numerics.fixed_point import F32, adjust_range
from hexconv.simulator.registry import KERNELS, KernelCall

Range = tuple[float, float]


def number(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, F32)


def run(op: str, *inputs: Any) -> list[Array]:
    arrays = [x if isinstance(x, np.ndarray) else number(x) for x in inputs]
    return KERNELS[op](KernelCall(op, arrays))


def real(codes: Array, low: float, high: float) -> Array:
    return float(low) + codes.astype(np.float64) * ((float(high) - float(low)) / 255)


@st.composite
def ranges(draw: st.DrawFn, smallest: float = 0.05, largest: float = 50.0) -> Range:
    """A uint8 range with an integer zero point."""
    value_range = draw(st.floats(smallest, largest))
    low = -value_range * draw(st.floats(0.0, 1.0))
    nudged = adjust_range(F32(low), F32(low + value_range))
    return float(nudged[0]), float(nudged[1])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    """Two uint8 tensors, the second of which stretches to the first."""
    full = tuple(draw(st.integers(1, 5)) for _ in range(4))
    kept = [draw(st.booleans()) for _ in range(4)]
    small = tuple(n if keep else 1 for n, keep in zip(full, kept, strict=True))
    seed = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (
        seed.integers(0, 256, full).astype(np.uint8),
        seed.integers(0, 256, small).astype(np.uint8),
    )


def steps_off(codes: Array, low: float, high: float, exact: Array) -> float:
    """Largest distance from exact values, clipped to the range, in its LSB."""
    step = (float(high) - float(low)) / 255
    return float(np.abs(real(codes, low, high) - np.clip(exact, low, high)).max() / step)


@settings(deadline=None, max_examples=60)
@given(pairs(), ranges(), ranges(), st.floats(0.2, 4.0), st.booleans(), st.booleans())
def test_sums_and_differences_are_within_one_lsb(
    tensors: tuple[Array, Array],
    a_range: Range,
    b_range: Range,
    share: float,
    sub: bool,
    swap: bool,
) -> None:
    (a, b) = tensors[::-1] if swap else tensors
    op = "QuantizedSub_8p8to8_d32" if sub else "QuantizedAdd_8p8to8_d32"
    b_low, b_high = (-b_range[1], -b_range[0]) if sub else b_range
    out = share * (a_range[0] + b_low), share * (a_range[1] + b_high)
    codes, low, high = run(op, a, b, *a_range, *b_range, *out)
    exact = real(a, *a_range) + (-1 if sub else 1) * real(b, *b_range)
    assert steps_off(codes, low.item(), high.item(), exact) < 1.0


WRAPPED = {
    1e-3: [0, 0, 128, 255, 255],
    1e-7: [0, 0, 128, 255, 0],
    1e-9: [255, 255, 128, 0, 128],
}


@pytest.mark.parametrize(("reach", "returned"), WRAPPED.items())
def test_a_prelu_into_a_tiny_range_shifts_in_32_bits(reach: float, returned: list[int]) -> None:
    """Recorded from the v60 and v66 libraries, which wrap where the gain is too large."""
    x = np.array([0, 60, 127, 129, 255], np.uint8).reshape(1, 1, 5, 1)
    slopes = np.full((1, 1, 1, 1), 255, np.uint8)
    codes, *_ = run("QuantizedPRelu_8_V2_d32", x, -1.0, 1.0, slopes, 0.0, 1.0, -reach, reach)
    assert codes.reshape(-1).tolist() == returned


@settings(deadline=None, max_examples=60)
@given(pairs(), ranges(), ranges(), st.floats(0.2, 2.0))
def test_products_are_within_one_lsb(
    tensors: tuple[Array, Array], a_range: Range, b_range: Range, share: float
) -> None:
    a, b = tensors
    corners = [x * y * share for x in a_range for y in b_range]
    out = min(0.0, *corners), max(0.0, *corners) + 1e-3
    codes, low, high = run("QuantizedMul_8x8to8_d32", a, b, *a_range, *b_range, *out)
    exact = real(a, *a_range) * real(b, *b_range)
    assert steps_off(codes, low.item(), high.item(), exact) < 1.0


@settings(deadline=None, max_examples=40)
@given(pairs(), ranges(), ranges())
def test_an_open_output_range_of_add_holds_every_result(
    tensors: tuple[Array, Array], a_range: Range, b_range: Range
) -> None:
    a, b = tensors
    exact = real(a, *a_range) + real(b, *b_range)
    codes, low, high = run("QuantizedAdd_8p8to8_d32", a, b, *a_range, *b_range)
    step = (high.item() - low.item()) / 255
    assert exact.min() > low.item() - 1.5 * step and exact.max() < high.item() + 1.5 * step
    assert np.abs(real(codes, low.item(), high.item()) - exact).max() < 2 * step


def test_a_product_without_a_range_can_be_all_wrong_as_in_the_library() -> None:
    """Its offset outgrows 16 bits: the real v60 library returns the same zeros."""
    a = np.array([[231, 98, 93, 115], [47, 127, 2, 144], [117, 243, 155, 53]], np.uint8)
    b = np.array([[15, 109, 50, 112], [211, 69, 215, 94], [141, 81, 150, 89]], np.uint8)
    ranges_ = (-0.18840579688549042, 0.8125, 0.0, 1.0)
    codes, low, high = run("QuantizedMul_8x8to8_d32", a[None, None], b[None, None], *ranges_)
    assert not codes.any()
    np.testing.assert_allclose([low.item(), high.item()], [-0.21212584, 0.30799037], rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(pairs(), ranges(), ranges())
def test_maximum_and_minimum_follow_the_real_values(
    tensors: tuple[Array, Array], a_range: Range, b_range: Range
) -> None:
    """Two roundings, of the offset and of the value: an error of 1 LSB at most.

    The real v60 library returns 237 for the larger of 217 of 0..7.5 and 163 of -7.5..0 in
    -7.5..7.5, where 236 is exact.
    """
    a, b = tensors
    for op, pick in (("QuantizedMaximum_8", np.maximum), ("QuantizedMinimum_8", np.minimum)):
        codes, low, high = run(op, a, b, *a_range, *b_range)
        exact = pick(real(a, *a_range), real(b, *b_range))
        assert steps_off(codes, low.item(), high.item(), exact) < 1.0 + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sets(st.integers(0, 3), min_size=1, max_size=4),
    ranges(),
    st.sampled_from([(1, 3, 4, 7), (2, 3, 2, 32), (1, 5, 1, 64), (2, 2, 2, 16)]),
)
def test_means_are_rounded_twice_and_no_worse(
    seed: int, axes: set[int], value_range: Range, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    axis = np.array(sorted(axes), np.int32).reshape(1, 1, 1, -1)
    codes, low, high = run("QuantizedMean_8", x, *value_range, axis)
    exact = real(x, *value_range).mean(axis=tuple(axes), keepdims=True)
    assert steps_off(codes, low.item(), high.item(), exact) < 1.01


@pytest.mark.parametrize("loudest", [1e-7, 1e-12, 1e-24])
def test_means_far_below_their_range_end_a_level_below_zero_if_negative(loudest: float) -> None:
    """As the library returns them: a shift past 31 bits is one of 31 bits, and is not rounded."""
    x = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2).repeat(8, axis=2)
    axis = np.full((1, 1, 1, 1), 2, np.int32)
    codes, _, _ = run("QuantizedMean_8", x, -loudest, loudest, axis, -3.0, 3.0)
    assert codes.ravel().tolist() == [127 if loudest < 1e-8 else 128, 128]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), ranges())
def test_sums_in_32_bits_are_exact(seed: int, value_range: Range) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (2, 3, 4, 5)).astype(np.uint8)
    total, low, high = run("QuantizedSum_8to32", x, *value_range, np.array([[[[1, 3]]]], np.int32))
    step = (high.item() - low.item()) / 2**32
    exact = real(x, *value_range).sum(axis=(1, 3), keepdims=True)
    np.testing.assert_allclose(
        total * step, exact, rtol=1e-5, atol=1e-4 * (value_range[1] - value_range[0])
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), ranges(), st.integers(1, 300))
def test_moments_are_mean_and_variance(seed: int, value_range: Range, count: int) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (1, 1, count, 3)).astype(np.uint8)
    mean, variance, low, high, v_low, v_high = run(
        "Moments_8to32", x, np.array([[[[2]]]], np.int32), *value_range
    )
    step = (value_range[1] - value_range[0]) / 255
    np.testing.assert_allclose(
        real(mean, low.item(), high.item()),
        real(x, *value_range).mean(axis=2, keepdims=True),
        atol=0.51 * step,
    )
    # Half a unit of rounding, the square of the mean's half, and the cut reciprocal of the count.
    units = variance * ((v_high.item() - v_low.item()) / 2**32) / step**2
    np.testing.assert_allclose(units, x.var(axis=2, keepdims=True), atol=0.8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), ranges(), st.integers(1, 400))
def test_float_is_quantized_and_back_within_half_an_lsb(
    seed: int, value_range: Range, count: int
) -> None:
    x = np.random.default_rng(seed).uniform(*value_range, (1, 1, count, 2)).astype(F32)
    codes, low, high = run("Quantize", x, *value_range)
    back = run("Dequantize", codes, low, high)[0]
    # The library cuts values to about 20 bits first.
    assert np.abs(back - x).max() < 0.56 * (high.item() - low.item()) / 255


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), ranges(), ranges(), st.integers(1, 400))
def test_requantizing_int32_rounds_to_nearest(
    seed: int, value_range: Range, out: Range, count: int
) -> None:
    limit = 2.0**31 * value_range[1] / 20000 if value_range[1] else 2.0**31 / 20000
    x = np.random.default_rng(seed).integers(-20000, 20000, (1, 1, 1, count)).astype(np.int32)
    codes, low, high = run("Requantize_32to8", x, -limit, limit, *out)
    exact = x * (2 * limit / 2**32)
    assert steps_off(codes, low.item(), high.item(), exact) < 1.01


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), ranges())
def test_int16_and_back_keeps_every_value(seed: int, value_range: Range) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (1, 2, 3, 9)).astype(np.uint8)
    wide, low, high = run("Convert_8_16", x, *value_range)
    codes, _, _ = run("Convert_16_8", wide, low, high, *value_range)
    np.testing.assert_array_equal(codes, x)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("QuantizedSqrt_8", [np.zeros((1, 1, 1, 4), np.uint8), -1.0, 1.0]),
        ("QuantizedSqrt_8", [np.zeros((1, 1, 1, 4), np.uint8), 1.0, 2.0]),
        ("QuantizedDiv_8", [np.ones((1, 2, 2, 4), np.uint8)] * 2 + [0.0, 1.0, 0.5, 1.0]),
        ("QuantizedDiv_8", [*[np.zeros((1, 1, 1, 1), np.uint8)] * 2, 0.0, 1.0, 0.0, 1.0]),
        ("QuantizedRecip_8", [np.zeros((1, 1, 1, 4), np.uint8), 0.0, 1.0]),
        ("QuantizedRecip_8", [np.ones((1, 8, 8, 8), np.uint8), 0.5, 4.0]),
        ("Requantize_8to8", [np.zeros((1, 1, 1, 4), np.uint8), -1.0, 1.0, -1.0, 1.0]),
        ("Requantize_8to8", [np.zeros((1, 1, 1, 4), np.uint8), -1.0, 1.0, -np.inf, np.inf]),
        ("Requantize_32to8", [np.zeros((1, 1, 1, 4), np.int32), -1.0, 1.0, -np.inf, np.inf]),
        ("Quantize", [np.zeros((1, 1, 1, 4), F32), 0.5, 2.0]),
        (
            "QuantizedEqual_8",
            _single := [
                np.ones((1, 1, 2, 4), np.uint8),
                np.zeros((1, 1, 1, 1), np.uint8),
                0.0,
                1.0,
                0.0,
                1.0,
            ],
        ),
        ("QuantizedLess_8", _single),
        (
            "QuantizedAdd_8p8to8_d32",
            [np.ones((1, 4, 1, 2), np.uint8), np.ones((1, 1, 5, 2), np.uint8), 0.0, 1.0, 0.0, 1.0],
        ),
        (
            "QuantizedMean_8",
            [np.ones((1, 2, 2, 4), np.uint8), 0.0, 1.0, np.array([[[[1]]]], np.int32), 0.5, 0.7],
        ),
        (
            "QuantizedMean_8",
            [np.ones((2, 2, 2, 40), np.uint8), 0.0, 1.0, np.array([[[[1, 2]]]], np.int32)],
        ),
        (
            "QuantizedPRelu_8_d32",
            [np.ones((1, 1, 1, 4), np.uint8), -1.0, 1.0, np.ones((1, 1, 1, 1), F32)],
        ),
        (
            "QuantizedPRelu_8_d32",
            [np.ones((1, 1, 1, 4), np.uint8), -4.0, 0.0, np.zeros((1, 1, 1, 4), F32)],
        ),
        (
            "QuantizedPRelu_8_d32",
            [np.ones((1, 1, 1, 1), np.uint8), -4.0, 1.0, np.full((1, 1, 1, 1), 200.0, F32)],
        ),
    ],
)
def test_what_the_library_gets_wrong_is_rejected(op: str, inputs: list[Any]) -> None:
    with pytest.raises(GraphError):
        run(op, *inputs)


def test_a_rejected_range_comes_with_the_one_to_request() -> None:
    with pytest.raises(GraphError, match=r"1\.007874"):
        run("Requantize_8to8", np.zeros((1, 1, 1, 4), np.uint8), -1.0, 1.0, -1.0, 1.0)
