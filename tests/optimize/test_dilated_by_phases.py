"""A dilated convolution by phases, or with zeros between its taps, is the same convolution."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, converted, ops

NAME = "dilated_by_phases"


def net(
    length: int, taps: int, dilation: int, pads: tuple[int, int], channels: int = 8
) -> ModelProto:
    weights = numbers((channels, channels, taps), 3) / 4
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], dilations=[dilation], pads=list(pads)),
        helper.make_node("Tanh", ["c"], ["y"]),
    ]
    return model(nodes, {"x": (1, channels, length)}, ["y"], {"w": weights})


@pytest.mark.parametrize(
    ("length", "taps", "dilation", "same"),
    [(24, 3, 2, True), (25, 3, 3, True), (40, 5, 6, True), (31, 7, 4, False), (96, 7, 12, True)],
)
def test_answers_are_those_of_the_library_s_own_form(
    length: int, taps: int, dilation: int, same: bool
) -> None:
    pad = (taps - 1) * dilation // 2 if same else 0
    proto, feeds = net(length, taps, dilation, (pad, pad)), {"x": numbers((1, 8, length))}
    on = converted(proto, feeds, without=("fold_time",))
    off = converted(proto, feeds, without=("fold_time", NAME))
    assert applied(on)[NAME] == 1 and "QuantizedDilatedConv2d_8x8p32to8" in ops(off)
    answers = [hexconv.simulate(m, feeds, library="v60")["y"] for m in (on, off)]
    np.testing.assert_array_equal(*answers)


def test_a_small_dilation_becomes_zeros_between_the_taps() -> None:
    on = converted(net(64, 3, 2, (2, 2)), {"x": numbers((1, 8, 64))}, without=("fold_time",))
    assert "SpaceToBatchND_8" not in ops(on)


def test_a_large_dilation_is_cut_into_phases_without_pads_or_crops() -> None:
    on = converted(net(96, 5, 12, (24, 24)), {"x": numbers((1, 8, 96))}, without=("fold_time",))
    consts = on.graph.const_by_id()
    for node in on.graph.nodes:
        if node.op in ("SpaceToBatchND_8", "BatchToSpaceND_8"):
            assert not consts[node.inputs[2].node].array.any()
    assert ops(on)["SpaceToBatchND_8"] == ops(on)["BatchToSpaceND_8"] == 1
