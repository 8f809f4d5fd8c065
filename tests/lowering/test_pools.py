"""Pools of every padding, ceil_mode, dilation and rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from tests.lowering.proof import (
    Array,
    decibels,
    emitted,
    float_outputs,
    ints,
    matches,
    model,
    numbers,
    one,
    same_on_the_library,
    unsupported_op,
)

FORMS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [3, 3]},
    "halving": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "padded": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "strided": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "asymmetric": {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 0, 0, 2]},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "ceil padded": {
        "kernel_shape": [3, 2],
        "strides": [2, 3],
        "pads": [1, 1, 0, 0],
        "ceil_mode": 1,
    },
    "dilated": {"kernel_shape": [3, 2], "dilations": [2, 3]},
    "dilated padded": {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [2, 1, 2, 0]},
    "upper": {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "lower": {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 1]},
    "all": {"kernel_shape": [8, 9]},
    "nearly all": {"kernel_shape": [7, 9]},
    "wide": {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
}
SHAPE = (2, 5, 8, 9)
each_form = pytest.mark.parametrize("form", FORMS)


@each_form
def test_max_pools_are_exact(form: str) -> None:
    matches(one("MaxPool", SHAPE, **FORMS[form]))


@each_form
@pytest.mark.parametrize("include", [0, 1])
def test_average_pools(form: str, include: int) -> None:
    """One rounding; where the divisor varies a second, of a sum up to 6 times smaller."""
    steps = 3.0 if not include or "ceil" in form else 0.63
    matches(one("AveragePool", SHAPE, count_include_pad=include, **FORMS[form]), steps)


@pytest.mark.parametrize("form", [name for name in FORMS if "dilated" not in name])
def test_l2_pools(form: str) -> None:
    """The library's root is correct to half an LSB."""
    matches(one("LpPool", SHAPE, opset=18, **FORMS[form]), steps=0.51)


@each_form
def test_l1_pools(form: str) -> None:
    """A table and a sum in int32, each rounded once."""
    matches(one("LpPool", SHAPE, opset=18, p=1, **FORMS[form]), steps=1.1)


def test_norms_that_8_bits_cannot_hold_are_rejected() -> None:
    assert "order 3" in unsupported_op(one("LpPool", SHAPE, opset=18, kernel_shape=[2, 2], p=3))
    assert "dilations" in unsupported_op(one("LpPool", SHAPE, opset=18, **FORMS["dilated"]))
    assert "order 4" in unsupported_op(one("GlobalLpPool", SHAPE, opset=18, p=4))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_signals(op: str) -> None:
    proto = one(op, (2, 4, 15), opset=18, kernel_shape=[3], strides=[2], pads=[1, 0])
    matches(proto, steps=1.5)


@pytest.mark.parametrize("shape", [(2, 5, 7, 6), (1, 32, 9, 9), (3, 4, 20), (1, 3, 1, 1)])
@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"])
def test_global_pools(op: str, shape: tuple[int, ...]) -> None:
    matches(one(op, shape), steps={"GlobalMaxPool": 1e-4}.get(op, 1.0))


def test_pools_that_the_library_has_are_one_node() -> None:
    for op, nnlib in (("MaxPool", "QuantizedMaxPool_8"), ("AveragePool", "QuantizedAvgPool_8")):
        assert emitted(matches(one(op, SHAPE, **FORMS["halving"]), 0.51)) == {nnlib: 1}
    assert emitted(matches(one("MaxPool", SHAPE, **FORMS["strided"]))) == {"QuantizedMaxPool_8": 1}


@pytest.mark.parametrize(("width", "padded"), [(9, False), (10, True), (13, True)])
def test_max_pools_with_much_padding_beside_the_rows_pad_first(width: int, padded: bool) -> None:
    pads = [width // 2, (width - 1) // 2, (width - 1) // 2, width // 2]
    proto = one("MaxPool", (1, 3, 13, 14), kernel_shape=[width, width], pads=pads)
    assert emitted(matches(proto)).get("QuantizedPad_8", 0) == padded


def test_what_the_library_lacks_is_rejected() -> None:
    assert "Indices" in unsupported_op(one("MaxPool", SHAPE, outputs=2, kernel_shape=[2, 2]))
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["cube"]),
        helper.make_node("MaxPool", ["cube"], ["pooled"], kernel_shape=[2, 2, 2]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    text = unsupported_op(model(nodes, {"x": (1, 2, 64)}, ["y"], {"shape": ints(1, 2, 4, 4, 4)}))
    assert "3 axes" in text


@pytest.mark.parametrize("window", [31, 32, 45])
def test_average_pools_wider_than_a_kernel_may_be(window: int) -> None:
    """Padded and with a stride of 3 they are grouped convolutions: columns become rows."""
    attrs = {"kernel_shape": [window], "strides": [3], "pads": [10, 5], "count_include_pad": 1}
    node = helper.make_node("AveragePool", ["x"], ["y"], **attrs)
    proto = model([node], {"x": (1, 4, 128)}, ["y"])
    assert decibels(proto, [{"x": numbers((1, 4, 128))}]) > 35.0


NARROW: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "an image": ((8, 9), {"kernel_shape": [3, 3]}),
    "strided rows": ((8, 9), {"kernel_shape": [4, 3], "strides": [3, 1]}),
    "ceil": ((8, 9), {"kernel_shape": [4, 3], "strides": [2, 2], "ceil_mode": 1}),
    "a row": ((1, 40), {"kernel_shape": [1, 9]}),
    "a signal": ((40,), {"kernel_shape": [9], "strides": [2]}),
}


def peaked_pool(
    size: tuple[int, ...], attrs: dict[str, Any], channels: int
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A mean of 9 to 12 numbers behind a factor, a few of which are far larger; and an input."""
    shape = (2, channels, *size)
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["t"]),
        helper.make_node("AveragePool", ["t"], ["y"], **attrs),
    ]
    x = numbers(shape)
    x[..., ::13] *= 6.0
    return model(nodes, {"x": shape}, ["y"], {"half": np.float32(0.5)}), {"x": x}


@pytest.mark.parametrize("form", NARROW)
@pytest.mark.parametrize("channels", [1, 5, 40])
def test_means_of_a_narrow_range_have_its_levels(form: str, channels: int) -> None:
    proto, sample = peaked_pool(*NARROW[form], channels)
    made = hexconv.convert(proto, samples=[sample])
    assert "QuantizedAvgPool_8" not in made.graph.histogram()
    same_on_the_library(made, sample)
    ranges = {**made.ranges, "y": made.ranges["t"]}
    pooled = hexconv.convert(proto, ranges=ranges)
    assert "QuantizedAvgPool_8" in pooled.graph.histogram()
    wanted = float_outputs(proto, sample)[0]
    own, wide = (np.abs(hexconv.simulate(m, sample)["y"] - wanted).max() for m in (made, pooled))
    assert own < 0.8 * wide


def test_wide_windows_of_images_stay_a_pool() -> None:
    proto, sample = peaked_pool((8, 18), {"kernel_shape": [2, 9]}, 5)
    assert "QuantizedAvgPool_8" in hexconv.convert(proto, samples=[sample]).graph.histogram()
