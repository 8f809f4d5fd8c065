"""The sums of a tensor of codes: compiled as NumPy forms them, and what float64 gives."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest

from hexconv import native
from hexconv.compare.code_sums import Codes, CodeSums, code_sums
from hexconv.compare.quantized import Scale, fit_sums
from hexconv.compare.sums import pair_sums

SIZES = [1, 2, 15, 16, 17, 1000, 1023, 1024, 1025, 40_003]
SCALES = [Scale(1 / 255, 0.0, "uint8"), Scale(0.37, 128.0, "uint8"), Scale(1e-6, -40.5, "uint8")]


def drawn(size: int, scale: Scale) -> tuple[np.ndarray, Codes, Codes]:
    """Floats of which some are outside of the range, and codes some steps off."""
    draw = np.random.default_rng(size)
    places = draw.uniform(-20, 275, size)
    x = ((places - scale.zero) * scale.step).astype(np.float32)
    near = np.rint(places)
    off = (near + draw.integers(-2, 3, size)).clip(0, 255).astype(np.uint8)
    far = (near + draw.integers(-30, 31, size)).clip(0, 255).astype(np.uint8)
    return x, Codes(far, scale), Codes(off, scale)


def same(first: CodeSums | None, second: CodeSums | None) -> bool:
    assert first is not None and second is not None
    counts = np.array_equal(first.fit.counts, second.fit.counts)
    rest = first.fit._replace(counts=None) == second.fit._replace(counts=None)  # type: ignore[arg-type]
    sums = (first.running, first.own) == (second.running, second.own)
    return counts and rest and sums and first.nearest.tobytes() == second.nearest.tobytes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("both", [True, False])
def test_the_compiled_sums_are_numpys(size: int, scale: Scale, both: bool) -> None:
    if native.ensure() is None:
        pytest.skip(native.status())
    x, running, own = drawn(size, scale)
    found = code_sums(x, running if both else None, own)
    with native.disabled():
        assert same(code_sums(x, running if both else None, own), found)


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_they_are_those_of_float64(scale: Scale) -> None:
    x, running, own = drawn(40_003, scale)
    found = code_sums(x, running, own)
    assert found is not None
    for sums, item in ((found.running, running), (found.own, own)):
        exact = pair_sums(x, item.scale.values(item.codes))
        assert np.allclose(sums, exact, rtol=2e-5), (sums, exact)
    exact_fit = fit_sums(x, found.nearest, scale)
    assert np.allclose(found.fit[:4], exact_fit[:4], rtol=1e-4)
    assert np.array_equal(found.fit.counts, exact_fit.counts)
    assert np.abs(found.nearest.astype(int) - scale.codes(x)).max() <= 1
    assert np.mean(found.nearest != scale.codes(x)) < 1e-3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1e38])
@pytest.mark.parametrize("compiled", [True, False])
def test_what_float32_cannot_hold_has_no_sums(bad: float, compiled: bool) -> None:
    x, running, own = drawn(100, Scale(1e-6, 3.0, "uint8"))
    x[50] = bad
    if compiled:
        native.ensure()
        assert code_sums(x, running, own) is None
        return
    with native.disabled():
        assert code_sums(x, running, own) is None


@pytest.mark.parametrize(
    "scale",
    [Scale(1e-33, 0.0, "uint8"), Scale(1e33, 0.0, "uint8"), Scale(1.0, 1e6, "uint8")],
    ids=str,
)
def test_scales_that_float32_cannot_hold_have_no_sums(scale: Scale) -> None:
    x, _, own = drawn(100, Scale(1.0, 0.0, "uint8"))
    assert code_sums(x, None, Codes(own.codes, scale)) is None


def test_a_tensor_far_below_its_scale_has_no_sums() -> None:
    x = np.full(100, 1e-25, np.float32)
    assert code_sums(x, None, Codes(np.zeros(100, np.uint8), Scale(1e-3, 0.0, "uint8"))) is None


def test_arrays_need_not_be_contiguous() -> None:
    x, running, own = drawn(1000, SCALES[0])
    strided = np.repeat(x, 2)[::2]
    codes = dataclasses.replace(own.scale), np.repeat(own.codes, 2)[::2]
    found = code_sums(strided, running, Codes(codes[1], codes[0]))
    assert same(found, code_sums(x, running, own))


@pytest.mark.parametrize("shape", [(1, 1, 70, 1), (2, 3, 5, 7), (3, 40, 41, 3), (1, 7, 7, 1280)])
@pytest.mark.parametrize("compiled", [True, False])
def test_values_are_read_from_the_layout_that_they_have(
    shape: tuple[int, ...], compiled: bool
) -> None:
    """NCHW, seen as BHWD."""
    if compiled and native.ensure() is None:
        pytest.skip(native.status())
    images, height, width, depth = shape
    x, running, own = drawn(images * height * width * depth, SCALES[1])
    packed = x.reshape(shape)
    view = np.ascontiguousarray(packed.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    sides = [item._replace(codes=item.codes.reshape(shape)) for item in (running, own)]
    with contextlib.nullcontext() if compiled else native.disabled():
        assert same(code_sums(view, *sides), code_sums(packed, *sides))
