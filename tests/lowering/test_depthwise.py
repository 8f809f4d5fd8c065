"""Depthwise kernels that the library cannot take as they are become ones that it can."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lowering.proof import emitted, matches, one
from tests.lowering.test_conv import bias
from tests.lowering.test_matmul import ROUNDED, weights

FEW = settings(max_examples=12, deadline=None, derandomize=True)
OP = "DepthwiseSupernode_8x8p32to8"


def image(height: int, width: int, channels: int = 8, **attrs: Any) -> onnx.ModelProto:
    kernel = weights(channels, 1, height, width)
    return one("Conv", (1, channels, 9, 12), kernel, bias(channels), group=channels, **attrs)


def signal(width: int, channels: int = 8, length: int = 40, **attrs: Any) -> onnx.ModelProto:
    kernel = weights(channels, 1, width)
    return one("Conv", (1, channels, length), kernel, bias(channels), group=channels, **attrs)


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (2, 7), (3, 5)])
def test_what_the_library_has_is_one_node(size: tuple[int, int]) -> None:
    assert emitted(matches(image(*size), ROUNDED)) == {OP: 1}


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (3, 4), (4, 6), (3, 1)])
def test_kernels_that_are_too_small_get_zeros_around(size: tuple[int, int]) -> None:
    assert emitted(matches(image(*size), ROUNDED))[OP] == 1


@FEW
@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 2), st.integers(0, 2))
def test_any_small_kernel(height: int, width: int, stride: int, pad: int) -> None:
    matches(image(height, width, strides=[stride, stride], pads=[pad, pad, pad, pad]), ROUNDED)


@pytest.mark.parametrize(("width", "rows"), [(9, 2), (15, 3), (31, 5)])
def test_wide_kernels_of_signals_become_rows(width: int, rows: int) -> None:
    """A Conformer's 1 x 15 is 3 x 5 on three shifted copies: no dense kernel."""
    converted = matches(signal(width, pads=[width // 2, width // 2]), ROUNDED)
    counts = emitted(converted)
    assert counts[OP] == 1 and counts["QuantizedSlice_8"] == rows
    assert "Supernode_8x8p32to8" not in counts


@pytest.mark.parametrize(("size", "kept"), [((9, 7), 1), ((10, 7), 0), ((11, 6), 0), ((11, 5), 1)])
def test_kernels_7_wide_and_tall_leave_depthwise(size: tuple[int, int], kept: int) -> None:
    """The library ends with a fault of memory."""
    sides = [size[0] // 2, size[1] // 2]
    assert emitted(matches(image(*size, pads=sides * 2), ROUNDED)).get(OP, 0) == kept


def test_the_longest_kernels_of_signals_become_rows_of_5() -> None:
    assert emitted(matches(signal(65, length=80, pads=[32, 32]), ROUNDED))["QuantizedSlice_8"] == 13


def test_wide_kernels_of_images_are_convolutions_by_group() -> None:
    matches(image(3, 9, channels=4), ROUNDED)


@pytest.mark.parametrize("attrs", [{"dilations": [2]}, {"dilations": [4]}, {"strides": [2]}])
def test_dilated_and_strided_signals(attrs: dict[str, Any]) -> None:
    matches(signal(5, **attrs), ROUNDED)


@pytest.mark.parametrize("stride", [3, 4])
def test_strides_beyond_two_leave_depthwise(stride: int) -> None:
    assert OP not in emitted(matches(signal(5, strides=[stride]), ROUNDED))


def test_a_multiplier_leaves_depthwise() -> None:
    proto = one("Conv", (1, 4, 9, 9), weights(8, 1, 3, 3), bias(8), group=4)
    assert OP not in emitted(matches(proto, ROUNDED))
