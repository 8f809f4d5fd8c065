"""An input too loud for the graph is an error before a run, the same of simulator and library."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.device import Library
from hexconv.device.wiring import input_tensors
from hexconv.errors import GraphError
from hexconv.nnlib.ranges.loudest import LOUDEST, widest_inputs
from tests.lowering.proof import model, numbers

SHAPE = (1, 8, 20)
node = helper.make_node


def pinned() -> onnx.ModelProto:
    """exp(x): the table is made for one range, to which the input is requantized."""
    return model([node("Exp", ["x"], ["y"])], {"x": SHAPE}, ["y"])


def clipped() -> onnx.ModelProto:
    """Behind a Reshape, in a range narrower than the input's."""
    consts = {"s": np.array([1, 20, 8]), "l": np.float32(-0.1), "h": np.float32(0.1)}
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Clip", ["r", "l", "h"], ["y"])]
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def convolution() -> onnx.ModelProto:
    consts = {"w": numbers((8, 8, 3)), "b": numbers((8,))}
    return model([node("Conv", ["x", "w", "b"], ["y"])], {"x": SHAPE}, ["y"], consts)


def product() -> onnx.ModelProto:
    """Its result is no finer than the product of the operands' steps."""
    consts = {"s": np.array([1, 20, 8]), "w": numbers((8,))}
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Mul", ["w", "r"], ["y"])]
    return model(nodes, {"x": SHAPE}, ["y"], consts)


KINDS = {"exp": pinned, "clip": clipped, "conv": convolution, "product": product}


@pytest.mark.parametrize("proto", [make() for make in KINDS.values()], ids=KINDS)
def test_up_to_the_limit_an_input_runs_and_beyond_it_is_an_error_that_says_so(
    proto: onnx.ModelProto,
) -> None:
    x = numbers(SHAPE)
    made = hexconv.convert(proto, samples=[{"x": x}])
    width = float(max(x.max(), 0) - min(x.min(), 0))
    limit = np.float32(widest_inputs(made.graph)["x"] / width)
    assert np.isfinite(hexconv.simulate(made, {"x": x * limit * np.float32(0.99)})["y"]).all()
    loud = {"x": x * limit * np.float32(1.01)}
    with pytest.raises(GraphError, match="the input 'x' is too loud: -") as simulated:
        hexconv.simulate(made, loud)
    with pytest.raises(GraphError) as executed:
        input_tensors(made.graph, loud)
    assert str(executed.value) == str(simulated.value)
    if os.environ.get("HEXCONV_LIBRARY"):
        library = Library()
        quiet = {"x": x * limit * np.float32(0.99)}
        wanted = hexconv.simulate(made, quiet, library=library.version)["y"]
        np.testing.assert_array_equal(library.run(made, quiet)["y"], wanted)


def test_the_limit_is_that_of_the_narrowest_range_an_input_is_requantized_to() -> None:
    made = hexconv.convert(clipped(), samples=[{"x": numbers(SHAPE)}])
    assert widest_inputs(made.graph)["x"] == pytest.approx(0.2 * LOUDEST, rel=0.02)


def test_an_input_without_a_range_has_no_limit() -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": SHAPE}, ["y"])
    graph = hexconv.convert(proto, samples=[{"x": numbers(SHAPE)}]).graph
    graph.inputs[0] = replace(graph.inputs[0], range=(0.0, 0.0))
    assert hexconv.simulate(graph, {"x": 1e9 * numbers(SHAPE)})["y"].max() > 1e9
