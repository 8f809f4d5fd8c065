"""Minima and maxima of many tensors: compiled as NumPy finds them; NaN and infinity show."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv import native
from hexconv.calibrate.parallel import ends_of


@pytest.fixture(params=["compiled", "numpy"])
def _way(request: pytest.FixtureRequest) -> object:
    if request.param == "compiled":
        if native.ensure() is None:
            pytest.skip(native.status())
        yield
        return
    with native.disabled():
        yield


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1000, 4097])
def test_the_ends_are_the_smallest_and_the_largest(size: int) -> None:
    draw = np.random.default_rng(size)
    arrays = [
        (draw.standard_normal(size) * scale).astype(np.float32) for scale in (1, 1e-40, 1e37, -3)
    ]
    found = ends_of(arrays)
    assert found.dtype == np.float32
    assert found.tolist() == [[a.min() for a in arrays], [a.max() for a in arrays]]


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 20, 36])
def test_what_is_not_finite_shows_in_an_end(bad: float, place: int) -> None:
    x = np.linspace(-1, 1, 37, dtype=np.float32)
    x[place] = bad
    assert not np.isfinite(ends_of([x])).all()


@pytest.mark.usefixtures("_way")
def test_zeros_have_no_sign_and_arrays_need_not_be_contiguous() -> None:
    x = np.array([[-0.0, 5.0], [0.0, 7.0]], np.float32)
    low, high = ends_of([x[:, :1], x[:, 1]]).tolist()
    assert (low, high) == ([0.0, 5.0], [0.0, 7.0])
    assert not np.signbit([low[0], high[0]]).any()
