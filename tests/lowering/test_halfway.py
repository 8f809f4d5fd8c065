"""Sums whose values would all be rounded to one side get a slightly wider range."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import Array, model, numbers, same_on_the_library

PARTS, CHANNELS = 4, 8


def summed(bias: float = 0.0) -> ModelProto:
    """Four tensors between -1 and 1, added up by a convolution of ones."""
    ones = np.tile(np.eye(CHANNELS, dtype=np.float32), (1, PARTS))[..., None]
    consts = {"w": ones, "b": np.full(CHANNELS, bias, np.float32)}
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Conv", ["t", "w", "b"], ["y"]),
    ]
    return model(nodes, {"x": (1, PARTS * CHANNELS, 512)}, ["y"], consts)


X = 0.1 * numbers((1, PARTS * CHANNELS, 512))


def ranges(end: float) -> dict[str, tuple[float, float]]:
    return {"x": (-4.0, 4.0), "t": (-1.0, 1.0), "y": (-end, end)}


def shrinkage(returned: Array) -> float:
    """By how much values are smaller than they should be, relative to them."""
    wanted = np.tanh(X).reshape(PARTS, CHANNELS, 512).sum(axis=0)
    return 1.0 - float((returned[0] * wanted).sum() / (wanted**2).sum())


@pytest.mark.parametrize("end", [1.99, 2.01, 0.665])
def test_values_halfway_are_rounded_to_both_sides(end: float) -> None:
    before, after = (
        hexconv.convert(summed(), ranges=ranges(end), accuracy=accuracy)
        for accuracy in ("minmax", "default")
    )
    moved = [abs(shrinkage(hexconv.simulate(m, {"x": X})["y"])) for m in (before, after)]
    assert moved[1] < 0.5 * moved[0]
    same_on_the_library(after, {"x": X})


@pytest.mark.parametrize(("end", "bias"), [(1.5, 0.0), (3.0, 0.0), (4.0, 0.0), (2.0, 0.003)])
def test_other_ranges_stay(end: float, bias: float) -> None:
    one, other = (
        hexconv.convert(summed(bias), ranges=ranges(end), accuracy=accuracy).graph.outputs[0].range
        for accuracy in ("minmax", "default")
    )
    assert one == other
