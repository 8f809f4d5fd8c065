"""Slices of one tensor that a Concat lays over each other are one Gather."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import decibels, ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "rows_by_gather"
TIME = 20


def depthwise(channels: int, *, batch: int = 1) -> ModelProto:
    """A depthwise convolution of width 15, as in a Conformer: three shifted rows of five taps."""
    consts = {"w": 0.3 * numbers((channels, 1, 15), 2), "b": numbers((channels,), 3)}
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "w", "b"], ["y"], group=channels, pads=[7, 7]),
    ]
    return model(nodes, {"x": (batch, channels, TIME)}, ["y"], consts)


def pieces(*, axis: int, also: str = "", second: str = "r") -> ModelProto:
    """Two parts of a signal, concatenated."""
    consts = {f"n{number}": ints(number) for number in (0, 3, 8, 12, 17)}
    consts |= {"time": ints(2), "w": 0.1 * numbers((128, 128, 1), 2)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["r"]),
        helper.make_node("Sigmoid", ["r"], ["s"]),
        helper.make_node("Slice", ["r", "n8", "n17", "time"], ["p"]),
        helper.make_node("Slice", [second, "n3", "n12", "time"], ["q"]),
        helper.make_node("Concat", ["p", "q"], ["c"], axis=axis),
        helper.make_node("MaxPool", ["c"], ["y"], kernel_shape=[3]),
    ]
    return model(nodes, {"x": (1, 128, TIME)}, ["y", *([also] if also else [])], consts)


def test_the_rows_of_a_wide_depthwise_are_one_lookup() -> None:
    proto, feeds = depthwise(128), {"x": numbers((1, 128, TIME))}
    on, off = better(proto, NAME, feeds, 4.0)
    assert ops(off)["QuantizedSlice_8"] == 3 and ops(off)["QuantizedConcat_8"] == 1
    assert ops(on)["Gather_8"] == 1 and not ops(on).keys() & {"QuantizedSlice_8"}
    after, before = (hexconv.simulate(item, feeds, library="v60")["y"] for item in (on, off))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("channels", "batch"), [(64, 1), (128, 2)])
def test_short_rows_and_batches_are_left_alone(channels: int, batch: int) -> None:
    """Rows shorter than a vector are copied byte by byte; an index has no batch axis."""
    proto = depthwise(channels, batch=batch)
    feeds = {"x": numbers((batch, channels, TIME))}
    on = converted(proto, feeds)
    assert NAME not in applied(on) and max(errors(on, proto, feeds)) <= 4.0


def test_consecutive_slices_are_one_lookup() -> None:
    on, _ = better(pieces(axis=2), NAME, {"x": numbers((1, 128, TIME))}, 4.0)
    assert ops(on)["Gather_8"] == 1


@pytest.mark.parametrize(
    "changed", [{"axis": 1}, {"axis": 2, "also": "p"}, {"axis": 2, "second": "s"}]
)
def test_other_joins_are_left_alone(changed: dict[str, object]) -> None:
    """Along the depth; of a part that others read; of two tensors."""
    proto, feeds = pieces(**changed), {"x": numbers((1, 128, TIME))}  # type: ignore[arg-type]
    on = converted(proto, feeds)
    assert NAME not in applied(on) and max(errors(on, proto, feeds)) <= 4.0


@pytest.mark.parametrize("pads", [(0, 0, 2, 0), (2, 0, 0, 0), (3, 0, 2, 0)])
def test_edges_of_the_models_input_stay_a_concat(pads: tuple[int, ...]) -> None:
    node = helper.make_node("Pad", ["x", "pads"], ["y"], mode="edge")
    proto = model([node], {"x": (32, 3)}, ["y"], {"pads": ints(*pads)})
    assert decibels(proto, [{"x": numbers((32, 3))}]) > 40.0
