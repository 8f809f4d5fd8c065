"""Residuals are summed in their own range where the stream is wider: fewer roundings stay in it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from tests.lowering.proof import decibels, model, numbers
from tests.optimize.proof import applied

NAME = "delta_stream"
BLOCKS, WIDTH, ROWS = 4, 32, 24


def stream(reach: float, *, blocks: int = BLOCKS, swapped: bool = False) -> ModelProto:
    """x + W1 tanh(x) + W2 tanh(x1) + ...: residuals of about `reach` beside a stream of 8."""
    nodes: list[NodeProto] = [helper.make_node("Mul", ["x", "eight"], ["x0"])]
    consts = {"eight": np.full((1, 1, WIDTH), 8.0, np.float32)}
    for block in range(blocks):
        consts[f"w{block}"] = np.float32(reach / WIDTH**0.5) * numbers((WIDTH, WIDTH), block)
        terms = [f"x{block}", f"b{block}"]
        nodes += [
            helper.make_node("Tanh", [f"x{block}"], [f"t{block}"]),
            helper.make_node("MatMul", [f"t{block}", f"w{block}"], [f"b{block}"]),
            helper.make_node("Add", terms[::-1] if swapped else terms, [f"x{block + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"x{blocks}"], ["y"]))
    return model(nodes, {"x": (1, ROWS, WIDTH)}, ["y"], consts)


SAMPLES = [{"x": numbers((1, ROWS, WIDTH), seed)} for seed in (3, 4, 5)]


@pytest.mark.parametrize("swapped", [False, True])
def test_narrow_residuals_are_summed_first(swapped: bool) -> None:
    proto = stream(0.5, swapped=swapped)
    on = hexconv.convert(proto, samples=SAMPLES)
    assert applied(on)[NAME] == BLOCKS - 1
    plain = decibels(proto, SAMPLES, without=(NAME,))
    assert decibels(proto, SAMPLES) > plain + 1.0


def test_residuals_as_wide_as_the_stream_are_not() -> None:
    assert NAME not in applied(hexconv.convert(stream(20.0), samples=SAMPLES))


def test_a_sum_becomes_the_new_base_where_the_residuals_have_grown() -> None:
    """Of twelve residuals of a tenth of the stream a few share a sum, then the next begins."""
    count = applied(hexconv.convert(stream(2.0, blocks=12), samples=SAMPLES))[NAME]
    assert 0 < count < 11


def test_the_setting_leaves_it_out() -> None:
    assert NAME not in applied(hexconv.convert(stream(0.5), samples=SAMPLES, accuracy="minmax"))


def test_two_sums_of_the_same_residual_keep_both() -> None:
    """x1 = x0 + b, x2 = x1 + b: twice b, and x1 is an output of its own."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("MatMul", ["t", "w"], ["b"]),
        helper.make_node("Add", ["x", "b"], ["x1"]),
        helper.make_node("Add", ["x1", "b"], ["y"]),
    ]
    proto = model(
        nodes, {"x": (1, ROWS, WIDTH)}, ["y", "x1"], {"w": 0.02 * numbers((WIDTH, WIDTH))}
    )
    assert decibels(proto, SAMPLES) > 38.0
