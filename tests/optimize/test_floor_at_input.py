"""The floor of a quiet input moves in front of what copies the input's range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.simulator import Simulator
from tests.lowering.proof import model

X = np.random.default_rng(1).standard_normal((1, 6, 8, 12)).astype(np.float32)
WEIGHTS = 0.3 * np.random.default_rng(2).standard_normal((4, 6, 1, 1)).astype(np.float32)


def _split() -> onnx.ModelProto:
    """The minimum of both halves is the port behind the second one."""
    parts = helper.make_node("Split", ["p"], ["a", "b"], axis=3, num_outputs=2)
    pool = helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[1, 1])
    conv = helper.make_node("Conv", ["b", "w"], ["y"])
    return model([pool, parts, conv], {"x": X.shape}, ["y"], {"w": WEIGHTS})


def _pool() -> onnx.ModelProto:
    pool = helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2])
    conv = helper.make_node("Conv", ["p", "w"], ["y"])
    return model([pool, conv], {"x": X.shape}, ["y"], {"w": WEIGHTS})


@pytest.mark.parametrize("made", [_split, _pool])
@pytest.mark.parametrize("loudness", [1.0, 1e-4])
def test_a_convolution_behind_it_reads_the_range_of_what_it_reads(
    made: Callable[[], onnx.ModelProto], loudness: float
) -> None:
    source = made()
    converted = hexconv.convert(source, samples=[{"x": X}])
    plain = hexconv.convert(source, samples=[{"x": X}], without=["floor_at_input"])
    sample = {"x": np.float32(loudness) * X}
    one, other = (Simulator(m, "v60").run(sample)["y"] for m in (converted, plain))
    assert np.array_equal(one, other)
