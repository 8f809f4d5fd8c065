"""What is left of a tensor without its mean is not rounded by the same amount for a whole row."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.lowering.same_rounding import off_same_rounding
from hexconv.onnx_graph import NodeView, load
from hexconv.quantize import cover
from hexconv.settings import Accuracy
from tests.lowering.proof import float_outputs, model, numbers, same_on_the_library

node = helper.make_node
SHAPE = (1, 64, 24)
CONSTS = {"axis": np.array([2]), "half": np.float32(0.5)}
CENTERED = (
    node("Mul", ["x", "half"], ["t"]),
    node("ReduceMean", ["t", "axis"], ["m"], keepdims=1),
    node("Sub", ["t", "m"], ["d"]),
)
MEAN = node("ReduceMean", ["d_2", "axis"], ["y"], keepdims=1)
X = np.clip(np.float32(0.6) * numbers(SHAPE), -1.5, 1.5)


def proto(*ends: onnx.NodeProto) -> onnx.ModelProto:
    read = {name for item in ends for name in item.input}
    consts = {"two": np.float32(2)} if "two" in read else {}
    return model([*CENTERED, *ends], {"x": SHAPE}, ["y"], {**CONSTS, **consts})


SUMMED = proto(
    node("Mul", ["d", "two"], ["d_2"]), node("ReduceSum", ["d_2", "axis"], ["y"], keepdims=1)
)


def converted(end: float, accuracy: Accuracy) -> hexconv.Model:
    """`SUMMED` with `t` in a range up to `end`, and `d` in one up to 1."""
    fixed = {"x": (-4.0, 4.0), "m": (-0.25, 0.25), "d": (-1.0, 1.0), "d_2": (-2.0, 2.0)}
    ranges = {**fixed, "t": (-end, end), "y": (-0.5, 0.5)}
    return hexconv.convert(SUMMED, ranges=ranges, accuracy=accuracy, optimize="none")


def error(made: hexconv.Model) -> float:
    """Root mean square of the sums, each of which is 0."""
    assert np.abs(float_outputs(SUMMED, {"x": X})[0]).max() < 1e-5
    return float(np.sqrt((hexconv.simulate(made, {"x": X})["y"] ** 2).mean()))


@pytest.mark.parametrize("end", [1.0, 2.0, 3.0, 4.0])
def test_a_sum_of_what_a_mean_leaves_over_does_not_add_one_rounding_up(end: float) -> None:
    made = converted(end, "default")
    assert error(made) < 0.6 * error(converted(end, "minmax"))
    same_on_the_library(made, {"x": X})


def widened(source: onnx.ModelProto, end: float = 1.0) -> bool:
    """Whether `d`, up to `end`, gets a wider range than that; `t` goes to 1."""
    graph = load(source)
    views = [NodeView(item) for item in graph.nodes]
    observed = {name: (-1.0, 1.0) for view in views for name in view.outputs}
    observed["d"] = (-end, end)
    ranges = {name: cover(*bounds) for name, bounds in observed.items()}
    found = off_same_rounding(views, ranges, observed)
    assert (found is observed) == (found["d"] == observed["d"])
    return found is not observed


@pytest.mark.parametrize(
    ("end", "wider"), [(1.0, True), (0.5, True), (0.97, False), (1.03, False), (0.1, False)]
)
def test_only_steps_that_are_whole_steps_are_moved(end: float, wider: bool) -> None:
    assert widened(SUMMED, end) == wider


SCALED = node("Mul", ["d", "two"], ["d_2"])
OTHER = {
    "returned": proto(node("Mul", ["d", "two"], ["y"])),
    "squared": proto(node("Mul", ["d", "d"], ["d_2"]), MEAN),
    "behind a function": proto(node("Exp", ["d"], ["d_2"]), MEAN),
    "averaged and centered again": proto(
        node("AveragePool", ["d"], ["d_2"], kernel_shape=[3]),
        node("ReduceMean", ["d_2", "axis"], ["m_2"], keepdims=1),
        node("Sub", ["d_2", "m_2"], ["y"]),
    ),
    "centered again": proto(
        SCALED,
        node("ReduceMean", ["d_2", "axis"], ["m_2"], keepdims=1),
        node("Sub", ["d_2", "m_2"], ["y"]),
    ),
}


@pytest.mark.parametrize("form", OTHER)
def test_a_row_that_nothing_adds_up_stays(form: str) -> None:
    assert not widened(OTHER[form])


ADDED_UP = {
    "mean": proto(SCALED, MEAN),
    "behind moves and a Relu": proto(
        node("Transpose", ["d"], ["t_2"], perm=[0, 2, 1]),
        node("Relu", ["t_2"], ["r"]),
        node("GlobalAveragePool", ["r"], ["y"]),
    ),
    "sum that is taken off": proto(
        SCALED,
        node("ReduceSum", ["d_2", "axis"], ["s"], keepdims=1),
        node("Sub", ["d_2", "s"], ["y"]),
    ),
}


@pytest.mark.parametrize("form", ADDED_UP)
def test_a_row_that_is_added_up_is_widened(form: str) -> None:
    assert widened(ADDED_UP[form])
