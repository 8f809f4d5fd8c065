"""Any function of one variable is exact to half an LSB: one of 256 results, computed in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.lowering.lookup import table
from hexconv.lowering.unary import PLAIN, WITH_ATTRIBUTES
from hexconv.quantize import Range, cover
from tests.lowering.proof import emitted, matches, on_codes, one

FEW = settings(max_examples=30, deadline=None, derandomize=True)
HALF = 0.5001
WIDE = Range(1 / 32, 128)
# Those that are defined, and have no pole, on -4..4.
EVERYWHERE = sorted(
    set(PLAIN) - {"Log", "Reciprocal", "Tan", "Asin", "Acos", "Acosh", "Atanh"}
    | {"Gelu", "Elu", "Selu", "Celu", "HardSigmoid", "ThresholdedRelu", "Shrink"}
)


@FEW
@given(st.floats(-8, 0), st.floats(0, 8))
def test_each_value_maps_to_its_own_result(low: float, high: float) -> None:
    source, target = cover(low, high), cover(-1.0, 1.0)
    codes = table(np.sin, source, target)
    values = (np.arange(256) - source.zero) * source.step
    outputs = (codes.astype(np.float64) - target.zero) * target.step
    assert np.abs(outputs - np.clip(np.sin(values), target.min, target.max)).max() <= (
        target.step * HALF
    )


def test_poles_map_to_the_end_of_the_range() -> None:
    codes = table(lambda x: 1.0 / x, Range(1.0, 0), Range(1.0 / 255.0, 0))
    assert codes[0] == 255 and codes[1] == 255 and codes[255] == 1


def test_undefined_values_map_to_zero() -> None:
    target = cover(-5.0, 5.0)
    codes = table(np.log, Range(1.0, 128), target)
    assert (codes[:128] == target.zero).all()


@pytest.mark.parametrize("op", EVERYWHERE)
def test_functions_match_onnx(op: str) -> None:
    matches(one(op, (1, 3, 5, 7), opset=22), HALF)


@pytest.mark.parametrize("op", ["Log", "Reciprocal", "Asin", "Acos", "Acosh", "Atanh"])
def test_functions_of_a_part_of_the_line(op: str) -> None:
    inside = {"Acosh": (1.5, 8.0), "Log": (0.2, 8.0), "Reciprocal": (0.2, 8.0)}
    low, high = inside.get(op, (-0.9, 0.9))
    value_range = cover(low, high)
    codes = np.arange(256)
    values = ((codes - value_range.zero) * value_range.step).astype(np.float32)
    values = values[(values >= low) & (values <= high)]
    values = np.append(values, [values[0]] * 2)  # the range that is observed stays the same
    # The input's own range is quantized again: its values move by up to half an LSB.
    slope = np.abs(np.gradient(getattr(np, _numpy(op))(values[:-2]), values[:-2])).max()
    out = cover(*sorted(getattr(np, _numpy(op))(np.array([values.min(), values.max()]))))
    steps = HALF + slope * value_range.step / out.step
    matches(one(op, (len(values),)), steps, feeds={"x": values})


def _numpy(op: str) -> str:
    return {
        "Asin": "arcsin",
        "Acos": "arccos",
        "Acosh": "arccosh",
        "Atanh": "arctanh",
    }.get(op, op.lower())


def test_a_table_is_two_nodes_in_any_layout() -> None:
    assert emitted(matches(one("Erf", (2, 3, 4)), HALF)) == {
        "CastUInt8ToInt32": 1,
        "Table_8": 1,
        "Requantize_8to8": 1,
    }


@pytest.mark.parametrize("attrs", [{"approximate": "tanh"}, {"approximate": "none"}])
def test_gelu_in_both_forms(attrs: dict[str, str]) -> None:
    matches(one("Gelu", (64,), opset=20, **attrs), HALF, feeds={"x": on_codes((64,))})


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Elu", {"alpha": 0.3}),
        ("Selu", {"alpha": 1.1, "gamma": 0.9}),
        ("Celu", {"alpha": 0.7}),
        ("HardSigmoid", {"alpha": 0.1, "beta": 0.3}),
        ("ThresholdedRelu", {"alpha": 2.0}),
        ("Shrink", {"lambd": 1.0, "bias": 0.5}),
    ],
)
def test_attributes_are_honored(op: str, attrs: dict[str, float]) -> None:
    matches(one(op, (64,), opset=22, **attrs), HALF)


def test_every_function_with_attributes_is_in_the_lists_above() -> None:
    assert set(WITH_ATTRIBUTES) - set(EVERYWHERE) == {"Swish", "QuickGelu"}
    assert math.isclose(PLAIN["Erf"](np.array([0.5]))[0], 0.5204998778130465)
