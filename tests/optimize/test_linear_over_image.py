"""Flattened channels and frequencies before a Linear are a convolution: nothing is moved."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "linear_over_image"
FRAMES, BANDS, CHANNELS = 20, 6, 4
SHAPE = (1, 1, FRAMES, 2 * BANDS)
FEEDS = {"x": numbers(SHAPE)}


def net(
    *, perm: tuple[int, ...] = (0, 2, 1, 3), relu: bool = False, also: str = "", high: int = 3
) -> ModelProto:
    pads = [high // 2, 1, high // 2, 1]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[1, 2], pads=pads),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=perm),
        helper.make_node("Reshape", ["t", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "l"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a" if relu else "y"]),
    ]
    if relu:
        nodes.append(helper.make_node("Relu", ["a"], ["y"]))
    outputs = ["y", *([also] if also else [])]
    consts = {
        "w": 0.5 * numbers((CHANNELS, 1, high, 3), 2),
        "shape": ints(1, FRAMES, CHANNELS * BANDS),
        "l": 0.2 * numbers((CHANNELS * BANDS, 8), 3),
        "b": numbers((8,), 4),
    }
    return model(nodes, {"x": SHAPE}, outputs, consts)


@pytest.mark.parametrize("relu", [False, True])
def test_it_is_a_convolution_and_moves_nothing(relu: bool) -> None:
    on, off = better(net(relu=relu), NAME, FEEDS, 4.0)
    assert ops(on)["Supernode_8x8p32to8"] == 2
    # The model's input is laid out with time on W once; without it, the convolution's whole output.
    assert on.conversion is not None and off.conversion is not None
    moved = [
        sum(n.outputs[0].nbytes for n in model.graph.nodes if n.op == "Transpose_8")
        for model in (on, off)
    ]
    assert moved[0] < moved[1]


def test_rows_that_would_be_too_many_columns_stay_rows() -> None:
    """The library computes up to 31 columns right, and any number of rows."""
    proto = net(high=33)
    on = converted(proto, FEEDS)
    assert NAME in applied(on) and max(errors(on, proto, FEEDS)) <= 4.0


@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (0, 2, 3, 1)])
def test_other_orders_are_left_alone(perm: tuple[int, ...]) -> None:
    nodes = net(perm=perm)
    on = converted(nodes, FEEDS)
    assert NAME not in applied(on) and max(errors(on, nodes, FEEDS)) <= 4.0


@pytest.mark.parametrize("also", ["t", "f", "r"])
def test_tensors_that_are_requested_keep_it_away(also: str) -> None:
    proto = net(also=also)
    on = converted(proto, FEEDS)
    assert max(errors(on, proto, FEEDS)) <= 4.0
    if also != "r":
        assert NAME not in applied(on)
