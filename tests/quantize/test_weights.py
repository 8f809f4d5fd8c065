"""Quantized values are the nearest ones, whatever the size of the array."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.quantize import Range, encode, quantize_bias, quantize_const, quantize_weights
from hexconv.quantize.weights import CHUNK


@pytest.mark.parametrize("count", [1, 7, CHUNK, CHUNK + 1])
def test_no_value_has_an_error_above_half_an_lsb(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    for quantized in (quantize_weights(values), quantize_const(values)):
        value_range = quantized.range
        back = (quantized.codes.astype(np.float64) - value_range.zero) * value_range.step
        # 2^-16 of the scale: quantization is computed in float32.
        assert np.abs(back - values).max() <= value_range.step * (0.5 + 2.0**-14)


def test_halves_are_rounded_to_even_and_ends_are_clipped() -> None:
    value_range = Range(1.0, 128)
    values = np.array([0.5, 1.5, -0.5, 1e9, -1e9], np.float32)
    assert encode(values, value_range).tolist() == [128, 130, 128, 255, 0]


def test_views_are_encoded_in_their_own_order() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert encode(values, Range(1.0, 0)).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_zero_is_exact_in_weights_and_constants() -> None:
    values = np.array([0.0, 0.7, 3.1], np.float32)
    for quantized in (quantize_weights(values), quantize_const(values)):
        assert quantized.codes[0] == quantized.range.zero
    assert quantize_weights(values).range.zero == 128
    assert quantize_const(values).range.zero == 0


def test_all_zero_and_empty_arrays_can_be_quantized() -> None:
    for shape in ((3,), (0,)):
        quantized = quantize_weights(np.zeros(shape, np.float32))
        assert quantized.codes.shape == shape and (quantized.codes == 128).all()


def test_a_bias_saturates_at_int32() -> None:
    codes = quantize_bias(np.array([1.0, -0.26, 1e12, -1e12], np.float32), 0.5)
    assert codes.dtype == np.int32 and codes.tolist() == [2, -1, 2**31 - 1, -(2**31)]


def test_tiny_weights_leave_room_for_a_large_bias() -> None:
    weights, bias, step = np.full(4, 1e-7, np.float32), np.array([5.0], np.float32), 1 / 64
    value_range = quantize_weights(weights, bias, step).range
    codes = quantize_bias(bias, value_range.step * step)
    assert abs(codes[0]) <= 2**30 and abs(codes[0] * value_range.step * step - 5.0) < 1e-6
    assert quantize_weights(weights).range.step < value_range.step
