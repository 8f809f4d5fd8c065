"""Resize in every coordinate mode and rounding."""

from __future__ import annotations

import numpy as np
import pytest

import hexconv
from hexconv.decompose import resize
from hexconv.errors import HexconvError
from tests.lowering.proof import (
    Array,
    decibels,
    emitted,
    float_outputs,
    ints,
    matches,
    numbers,
    one,
    unsupported_op,
)

MODES = [
    "half_pixel",
    "asymmetric",
    "align_corners",
    "pytorch_half_pixel",
    "half_pixel_symmetric",
]
SCALES = [(2, 2), (3, 2), (0.5, 0.5), (1.5, 2.3)]


def scaled(height: float, width: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([1, 1, height, width], np.float32)


def asked(transform: str, scale: tuple[float, float]) -> list[Array | None]:
    """Scales, and sizes instead where a fraction of an element would count."""
    sizes = [int(6 * scale[0]), int(8 * scale[1])]
    if transform == "align_corners":
        return [None, ints(1, 3, *sizes)]
    return [scaled(*scale)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("transform", MODES)
def test_nearest_is_exact(transform: str, rounding: str, scale: tuple[float, float]) -> None:
    attrs = {"coordinate_transformation_mode": transform, "nearest_mode": rounding}
    matches(one("Resize", (1, 3, 6, 8), None, *asked(transform, scale), mode="nearest", **attrs))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("transform", MODES)
def test_interpolation_is_within_two_lsb(
    transform: str, mode: str, scale: tuple[float, float]
) -> None:
    """Two roundings, one per axis, and weights of 8 bits: 1.9 LSB at most were measured."""
    attrs = {"coordinate_transformation_mode": transform, "mode": mode}
    matches(one("Resize", (1, 3, 6, 8), None, *asked(transform, scale), **attrs), steps=2.0)


def test_aligned_corners_with_a_fraction_are_rejected() -> None:
    """ONNX divides by 2.3 * 8 - 1 = 17.4, ONNX Runtime by 17."""
    mode = {"coordinate_transformation_mode": "align_corners", "mode": "linear"}
    assert "ONNX Runtime" in unsupported_op(
        one("Resize", (1, 3, 6, 8), None, scaled(1.5, 2.3), **mode)
    )


def test_the_library_itself_resizes_where_it_can() -> None:
    nearest = one(
        "Resize",
        (1, 8, 6, 8),
        None,
        scaled(2, 2),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    assert emitted(matches(nearest)) == {"ResizeNearestNeighbor_8": 1}
    linear = one(
        "Resize",
        (1, 8, 6, 8),
        None,
        None,
        ints(1, 8, 11, 15),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
    assert emitted(matches(linear, steps=1.3)) == {"QuantizedResizeBilinear_8": 1}


def test_a_linear_half_pixel_upscale_is_convolutions_and_depth_to_space() -> None:
    ops = emitted(matches(one("Resize", (1, 8, 6, 8), None, scaled(2, 2), mode="linear"), 1.0))
    assert ops["DepthwiseSupernode_8x8p32to8"] == 4 and ops["DepthToSpace_8"] == 1


def test_any_axis_can_be_resized() -> None:
    matches(one("Resize", (2, 3, 6), None, np.array([2, 1, 1.5], np.float32), mode="nearest"))
    matches(one("Resize", (1, 3, 9), None, np.array([1, 1, 2], np.float32), mode="linear"), 2.0)


def test_a_resize_of_nothing_is_nothing() -> None:
    assert emitted(matches(one("Resize", (1, 3, 6, 8), None, scaled(1, 1), mode="linear"))) == {}


def test_old_upsample() -> None:
    proto = one("Upsample", (1, 3, 4, 5), scaled(2, 3), opset=9, mode="nearest")
    matches(proto)


def test_what_is_not_honored_is_rejected() -> None:
    policy = {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}
    text = unsupported_op(
        one("Resize", (1, 3, 6, 8), None, None, ints(9, 20), mode="nearest", **policy)
    )
    assert "aspect ratio" in text


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialiased_shrinking(mode: str) -> None:
    matches(one("Resize", (1, 3, 9, 8), None, scaled(0.5, 0.6), mode=mode, antialias=1), 2.0)


LONG = [
    ((1, 3, 400), 2.0, "half_pixel"),
    ((1, 3, 400), 2.0, "align_corners"),
    ((1, 3, 400), 2.5, "asymmetric"),
    ((2, 3, 512), 4.0, "pytorch_half_pixel"),
    ((1, 1, 600), 0.5, "half_pixel"),
    ((1, 1, 100), 256.0, "half_pixel"),
    ((1, 2, 2, 800), 2.0, "half_pixel"),
    ((1, 2, 17_000), 2.0, "half_pixel"),
    ((1, 2, 17_000), 2.0, "align_corners"),
]


@pytest.mark.parametrize(("shape", "factor", "transform"), LONG)
def test_a_long_signal_is_interpolated(
    shape: tuple[int, ...], factor: float, transform: str
) -> None:
    sizes = ints(*shape[:-1], int(shape[-1] * factor))
    proto = one(
        "Resize", shape, None, None, sizes, mode="linear", coordinate_transformation_mode=transform
    )
    smooth = np.cumsum(numbers(shape), axis=-1) / np.sqrt(shape[-1])
    assert decibels(proto, [{"x": smooth.astype(np.float32)}]) > 30.0


@pytest.mark.parametrize("factor", [2.0, 1.3, 0.5])
def test_an_axis_too_long_for_a_matrix_is_read_at_the_nearest_elements(factor: float) -> None:
    shape = (1, 2, 20_000)
    sizes = ints(1, 2, int(20_000 * factor))
    matches(one("Resize", shape, None, None, sizes, mode="nearest"))


@pytest.mark.parametrize(
    ("shape", "factor", "attrs"),
    [
        ((1, 2, 1, 600), 2.0, {}),
        ((1, 2, 1, 1500), 1.3, {"coordinate_transformation_mode": "align_corners"}),
        ((2, 1, 2, 1200), 0.5, {"antialias": 1}),
        ((1, 3, 2, 1000), 1.5, {"coordinate_transformation_mode": "asymmetric"}),
    ],
)
def test_a_long_cubic_resize_is_a_product_for_each_part(
    shape: tuple[int, ...], factor: float, attrs: dict[str, int | str]
) -> None:
    """Two roundings: of the products, and of the parts to one range."""
    sizes = ints(*shape[:-1], int(shape[-1] * factor))
    matches(one("Resize", shape, None, None, sizes, mode="cubic", **attrs), steps=2.0)


@pytest.mark.parametrize("transform", MODES)
@pytest.mark.parametrize("factor", [0.3, 1.3, 2.0])
@pytest.mark.parametrize("size", [1, 3, 8, 40])
def test_the_weights_of_a_cubic_are_those_of_the_unit_matrix(
    size: int, factor: float, transform: str
) -> None:
    attrs = {"mode": "cubic", "coordinate_transformation_mode": transform, "exclude_outside": 1}
    grown = max(int(size * factor), 1)
    proto = one("Resize", (1, 1, size, size), None, None, ints(1, 1, size, grown), **attrs)
    (unit,) = float_outputs(proto, {"x": np.eye(size, dtype=np.float32)[None, None]})
    weights = resize.interpolation(size, ("sizes", grown), attrs)
    np.testing.assert_allclose(weights, unit[0, 0], atol=2e-6)


def test_an_axis_of_too_many_elements_is_rejected_before_memory_is_asked_for() -> None:
    proto = one("Resize", (1, 1, 16), None, None, ints(1, 1, 200_000_000), mode="linear")
    with pytest.raises(HexconvError, match="axis 2 is resized from 16 to 200000000 elements"):
        hexconv.check(proto)
