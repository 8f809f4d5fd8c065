"""A row of one number everywhere, less its mean, is 0: however fine the levels of the rest are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.settings import Accuracy, OptimizeLevel
from tests.lowering.proof import Array, model, same_on_the_library

node = helper.make_node
SHAPE = (1, 200, 12)
HALF, AXIS = {"half": np.float32(0.5)}, {"axis": np.array([2])}
X = np.repeat(np.linspace(-1.0, 8.0, SHAPE[1], dtype=np.float32), SHAPE[2]).reshape(SHAPE)
OPEN = {"x": (-1.0, 8.4), "t": (-0.54, 4.2), "y": (-0.05, 0.15)}
FORMS = {
    "over the last axis": model(
        [
            node("Mul", ["x", "half"], ["t"]),
            node("ReduceMean", ["t", "axis"], ["m"], keepdims=1),
            node("Sub", ["t", "m"], ["y"]),
        ],
        {"x": SHAPE},
        ["y"],
        {**HALF, **AXIS},
    ),
    "over the first axis, and reshaped": model(
        [
            node("Mul", ["x", "half"], ["a"]),
            node("Transpose", ["a"], ["t"], perm=[0, 2, 1]),
            node("ReduceMean", ["t", "axis"], ["n"], keepdims=0),
            node("Unsqueeze", ["n", "axis"], ["m"]),
            node("Sub", ["t", "m"], ["y"]),
        ],
        {"x": SHAPE},
        ["y"],
        {**HALF, "axis": np.array([1])},
    ),
}


def left_of(
    proto: onnx.ModelProto,
    mean: float,
    optimize: OptimizeLevel = "default",
    accuracy: Accuracy = "default",
) -> Array:
    """What is left of rows of one number, whose mean has a range up to `mean`."""
    ranges = {**OPEN, "a": OPEN["t"], "m": (0.0, mean), "n": (0.0, mean)}
    there = {item.name for item in proto.graph.input} | {
        name for item in proto.graph.node for name in item.output
    }
    ranges = {name: bounds for name, bounds in ranges.items() if name in there}
    made = hexconv.convert(proto, ranges=ranges, optimize=optimize, accuracy=accuracy)
    same_on_the_library(made, {"x": X})
    return hexconv.simulate(made, {"x": X})["y"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", ["none", "default"])
def test_nothing_is_left_of_rows_of_one_number(form: str, level: OptimizeLevel) -> None:
    assert not left_of(FORMS[form], 4.05, optimize=level).any()
    assert left_of(FORMS[form], 4.05, optimize=level, accuracy="minmax").any()


def test_means_of_a_narrow_range_keep_it() -> None:
    proto = FORMS["over the last axis"]
    kept, plain = (left_of(proto, 2.0, accuracy=item) for item in ("default", "minmax"))
    np.testing.assert_array_equal(kept, plain)


def test_means_behind_a_difference_of_coarse_levels_keep_their_range() -> None:
    proto = FORMS["over the last axis"]
    ranges = {"x": (-1.0, 8.4), "t": (-0.54, 4.2), "m": (0.0, 4.05), "y": (-1.5, 2.5)}
    made = [hexconv.convert(proto, ranges=ranges, accuracy=item) for item in ("default", "minmax")]
    kept, plain = (hexconv.simulate(item, {"x": X})["y"] for item in made)
    np.testing.assert_array_equal(kept, plain)
