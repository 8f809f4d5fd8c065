"""A mean over depth as a 1x1 Supernode: the same to 1 LSB."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "mean_as_conv"
SHAPE = (1, 12, 40)


def net(*axes: int) -> ModelProto:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("ReduceMean", ["s", "axes"], ["y"], keepdims=1),
    ]
    return model(nodes, {"x": SHAPE}, ["y"], {"axes": ints(*axes)})


@pytest.mark.parametrize("axis", [-1, 2])
def test_the_last_axis_is_a_convolution(axis: int) -> None:
    # Means as far apart as what they are means of: no run needs a wider range.
    x = 3 * numbers((1, 12, 1), 1) + 0.2 * numbers(SHAPE)
    on, off = better(net(axis), NAME, {"x": x}, 1.0)
    assert ops(on)["Supernode_8x8p32to8"] == 1 and "QuantizedMean_8" not in ops(on)
    assert ops(off)["QuantizedMean_8"] == 1


@pytest.mark.parametrize("axes", [(1,), (1, 2)])
def test_other_axes_stay_a_mean(axes: tuple[int, ...]) -> None:
    proto = net(*axes)
    feeds = {"x": numbers(SHAPE)}
    on = converted(proto, feeds)
    assert NAME not in applied(on) and max(errors(on, proto, feeds)) <= 1.5  # two roundings
