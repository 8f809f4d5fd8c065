"""A number far away that fills up or masks in front of a maximum leaves it its resolution."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from tests.lowering.proof import decibels, model, numbers

node = helper.make_node


FILLED = {
    "Pad": [node("Pad", ["x", "pads", "far"], ["f"])],
    "Where": [node("Where", ["mask", "x", "far"], ["f"])],
    "Concat": [node("Concat", ["x", "far_row"], ["f"], axis=2)],
    "Add": [node("Mul", ["k", "far"], ["t"]), node("Add", ["x", "t"], ["f"])],
}
LARGEST = {
    "MaxPool": [node("MaxPool", ["f"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
    "ReduceMax": [node("ReduceMax", ["f", "axes"], ["y"])],
    "GlobalMaxPool": [node("GlobalMaxPool", ["f"], ["y"])],
}
SMALLEST = {"ReduceMin": [node("ReduceMin", ["f", "axes"], ["y"])]}


def filled(form: str, behind: list[NodeProto], far: float) -> float:
    """SQNR of the conversion of a filled or masked tensor and what is behind."""
    shape = (1, 3, 8, 9)
    consts = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "mask": (np.arange(72) % 4 > 0).reshape(1, 1, 8, 9),
        "far": np.float32(far),
        "far_row": np.full((1, 3, 1, 9), far, np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [*FILLED[form], *behind]
    read = {name for item in nodes for name in item.input}
    inputs = {"x": shape} | ({"k": (1, 1, 8, 9)} if form == "Add" else {})
    given = {name: array for name, array in consts.items() if name in read}
    proto = model(nodes, inputs, ["y"], given, 18)
    samples = [
        {"x": numbers(shape, seed), "k": np.float32(numbers((1, 1, 8, 9), seed + 99) > 1)}
        for seed in range(12)
    ]
    samples = [{name: sample[name] for name in inputs} for sample in samples]
    return decibels(proto, samples)


@pytest.mark.parametrize("far", [-1e4, -65504.0, -1e9])
@pytest.mark.parametrize("behind", LARGEST)
@pytest.mark.parametrize("form", FILLED)
def test_a_number_far_below_in_front_of_a_maximum_takes_no_resolution(
    form: str, behind: str, far: float
) -> None:
    assert filled(form, LARGEST[behind], far) > 33


@pytest.mark.parametrize("form", ["Pad", "Where", "Concat"])
def test_a_number_far_above_in_front_of_a_minimum_takes_no_resolution(form: str) -> None:
    assert filled(form, SMALLEST["ReduceMin"], 1e4) > 33
