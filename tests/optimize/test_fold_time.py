"""Time steps as channels: the same convolution, its lanes filled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

from hexconv.optimize.fusions.fold_time import Signal
from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, better, converted

NAME = "fold_time"
LONG = 1 << 17
"""Samples: a signal of one channel, long enough for folding to pay off."""


def plain(signal: Signal, x: np.ndarray) -> np.ndarray:
    """The convolution itself, (C,T) to (O,T), in float64."""
    outputs, _, width = signal.weights.shape
    result = np.zeros((outputs, signal.length))
    for step in range(signal.length):
        for tap in range(width):
            at = step + tap * signal.dilation - signal.before
            if 0 <= at < signal.length:
                result[:, step] += signal.weights[:, :, tap] @ x[:, at]
    return result


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([2, 4, 8]),
    st.integers(0, 9),
)
def test_the_folded_kernel_is_the_same_product(
    outputs: int, inputs: int, width: int, dilation: int, factor: int, before: int
) -> None:
    weights = np.random.default_rng(0).standard_normal((outputs, inputs, width)).astype(np.float32)
    signal = Signal(weights, before, dilation, 4 * factor)
    x = np.random.default_rng(1).standard_normal((inputs, signal.length))
    first, last = signal.taps(factor)
    folded = x.reshape(inputs, 4, factor).transpose(2, 0, 1).reshape(factor * inputs, 4)
    wide = Signal(signal.folded(factor), -first, 1, 4)
    assert wide.weights.shape[2] == last - first + 1
    output = plain(wide, folded).reshape(factor, outputs, 4).transpose(1, 2, 0)
    np.testing.assert_allclose(output.reshape(outputs, -1), plain(signal, x), atol=1e-5)


def net(inputs: int, outputs: int, length: int) -> ModelProto:
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[3, 3])]
    consts = {"w": numbers((outputs, inputs, 7), 3) / 8, "b": numbers((outputs,), 4)}
    return model(nodes, {"x": (1, inputs, length)}, ["y"], consts)


def test_the_last_convolution_of_a_vocoder_is_folded() -> None:
    """Inputs and weights of 224 products each have an error of half an LSB: 3 LSB of the output."""
    better(net(32, 1, 32768), NAME, {"x": numbers((1, 32, 32768))}, 4.0)


@pytest.mark.parametrize(
    ("inputs", "outputs", "length"), [(64, 64, 32768), (32, 1, 32767), (32, 1, 256)]
)
def test_full_lanes_odd_and_short_signals_are_left_alone(
    inputs: int, outputs: int, length: int
) -> None:
    feeds = {"x": numbers((1, inputs, length))}
    assert NAME not in applied(converted(net(inputs, outputs, length), feeds))


def test_a_relu_replaced_by_its_range_still_clips() -> None:
    """Joined with what reaches below zero, the folded convolution keeps its own range."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Concat", ["r", "x"], ["y"], axis=1),
    ]
    feeds = {"x": numbers((1, 1, LONG))}
    proto = model(nodes, {"x": (1, 1, LONG)}, ["y"], {"w": numbers((1, 1, 7), 3)})
    better(proto, NAME, feeds, 3.0)
