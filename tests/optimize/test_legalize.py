"""Graphs that the library would compute incorrectly are corrected at every level."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.prepare.left_padding import shifted
from tests.lowering.proof import model, numbers
from tests.optimize.proof import errors


def net(depth: int) -> ModelProto:
    """Depthwise convolutions in a row of widths between which the left padding differs."""
    nodes, value = [], "x"
    for number in range(depth):
        name = f"t{number}"
        nodes.append(
            helper.make_node(
                "Conv", [value, "w"], [name], group=8, pads=[1, 1, 1, 1], strides=[1, 1]
            )
        )
        value = name
    nodes.append(helper.make_node("Conv", [value, "v"], ["y"], pads=[1, 1, 1, 1]))
    consts = {"w": 0.3 * numbers((8, 1, 3, 3), 2), "v": 0.2 * numbers((4, 8, 3, 3), 3)}
    return model(nodes, {"x": (1, 8, 12, 12)}, ["y"], consts)


@pytest.mark.parametrize("level", ["none", "default"])
@pytest.mark.parametrize("depth", [1, 3])
def test_no_node_misreads_depthwise_rows(level: str, depth: int) -> None:
    proto, feeds = net(depth), {"x": numbers((1, 8, 12, 12))}
    converted = hexconv.convert(proto, samples=[feeds], optimize=level)
    assert not list(shifted(trace(converted.graph).graph))
    assert max(errors(converted, proto, feeds)) <= 2.0 + 2.0 * depth
