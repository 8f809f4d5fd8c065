"""Copies of large arrays."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.arrays import contiguous


@pytest.mark.parametrize("shape", [(1031, 1025), (3, 700, 601), (5,), (4, 4)])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_copy_holds_the_same_values_in_c_order(shape: tuple[int, ...], transposed: bool) -> None:
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    array = array.T if transposed else array
    copy = contiguous(array)
    assert copy.flags.c_contiguous and np.array_equal(copy, array)
    assert (copy is array) == (array.flags.c_contiguous)
