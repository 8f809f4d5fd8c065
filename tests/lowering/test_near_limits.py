"""Numbers and sizes beyond what the library computes are errors that name the tensor."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.errors import RangeError, UnsupportedOpErrors
from tests.lowering.proof import model, numbers

SHAPE = (1, 4, 8)


def test_an_input_near_the_largest_float_is_named() -> None:
    nodes = [helper.make_node("Add", ["x", "x"], ["y"], name="sum")]
    samples = [{"x": numbers(SHAPE) * np.float32(5e37)}]
    with pytest.raises(RangeError, match="the tensor 'x' holds numbers from"):
        hexconv.convert(model(nodes, {"x": SHAPE}, ["y"], {}), samples=samples)


def test_check_names_a_constant_near_the_largest_float() -> None:
    nodes = [helper.make_node("Mul", ["x", "c"], ["y"], name="scale")]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"c": np.array(1e38, np.float32)})
    (item,) = hexconv.check(proto).unsupported
    assert "the constant 'c' holds numbers up to 1e+38" in str(item)


def test_a_softmax_that_crashes_the_library_is_unsupported() -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["y"], name="classes", axis=-1)]
    proto = model(nodes, {"x": (1, 65536)}, ["y"], {})
    with pytest.raises(UnsupportedOpErrors, match="a softmax over 65536 values of 'x'"):
        hexconv.convert(proto, samples=[{"x": numbers((1, 65536))}])
