"""What the 16-bit convolution rejects; its outputs are in the golden vectors."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.simulator.kernels.conv16 import supernode16
from hexconv.simulator.registry import KernelCall


def scalar(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)


def call(width: int, library: str) -> KernelCall:
    x = np.full((1, 1, width, 32), 40000, np.uint16)
    weights = np.full((1, 1, 32, 4), 33000, np.uint16)
    ends = [scalar(-1), scalar(1), scalar(-1), scalar(1), np.zeros((1, 1, 1, 1), np.uint8)]
    bias = [np.zeros((1, 1, 1, 4), np.int32), scalar(-1), scalar(1), scalar(-2), scalar(2)]
    op = "Supernode_u16x16p32to16_d32"
    return KernelCall(op, [x, weights, *ends, *bias], Padding.SAME, library=library)


def test_a_plain_product_is_within_two_lsb() -> None:
    codes, low, high = supernode16(call(8, "v60"))
    exact = 32 * (40000 - 32768) / 32768 * (33000 - 32768) / 32768
    step = (high.flat[0] - low.flat[0]) / 65536
    assert codes.dtype == np.uint16
    assert np.abs(codes * step + low.flat[0] - exact).max() < 2 * step


def test_widths_that_overrun_the_buffers_are_rejected() -> None:
    with pytest.raises(GraphError, match="overruns"):
        supernode16(call(6, "v60"))


def test_the_newer_libraries_are_rejected() -> None:
    with pytest.raises(GraphError, match="v66"):
        supernode16(call(8, "v66"))
