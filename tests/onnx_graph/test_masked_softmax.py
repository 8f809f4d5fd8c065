"""Probabilities times a mask, divided by their sum: as good as a mask in front of the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, numbers

FRAMES = 60
CONSTS: dict[str, Array] = {
    "eps": np.array(1e-6, np.float32),
    "large": np.array(1e-2, np.float32),
    "four": np.array(4.0, np.float32),
    "last": np.array([-1]),
}
SUM = helper.make_node("ReduceSum", ["kept", "last"], ["total"], keepdims=1)
FLAT = helper.make_node("ReduceSum", ["kept", "last"], ["flat"], keepdims=0)
EXPONENTIALS = [
    helper.make_node("ReduceMax", ["scores", "last"], ["top"], keepdims=1),
    helper.make_node("Sub", ["scores", "top"], ["below"]),
    helper.make_node("Exp", ["below"], ["shares"]),
]
EXP = [helper.make_node("Exp", ["scores"], ["shares"])]
GUARDS: dict[str, list[Any]] = {
    "none": [SUM, helper.make_node("Identity", ["total"], ["by"])],
    "added": [SUM, helper.make_node("Add", ["total", "eps"], ["by"])],
    "at least": [SUM, helper.make_node("Max", ["eps", "total"], ["by"])],
    "clipped": [SUM, helper.make_node("Clip", ["total", "eps"], ["by"])],
    "without the axis": [
        FLAT,
        helper.make_node("Add", ["flat", "eps"], ["more"]),
        helper.make_node("Unsqueeze", ["more", "last"], ["by"]),
    ],
}


def attention(guard: list[Any], shares: list[Any] | None = None) -> onnx.ModelProto:
    softmax = [helper.make_node("Softmax", ["scores"], ["shares"], axis=-1)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "k"], ["scores"]),
        *(shares or softmax),
        helper.make_node("Mul", ["shares", "m"], ["kept"]),
        *guard,
        helper.make_node("Div", ["kept", "by"], ["again"]),
        helper.make_node("MatMul", ["again", "x"], ["y"]),
    ]
    read = {name for node in nodes for name in node.input}
    consts = {name: array for name, array in CONSTS.items() if name in read}
    return model(nodes, {"x": (1, FRAMES, 8), "m": (1, 1, FRAMES)}, ["y"], consts)


def feed(seen: int, seed: int) -> dict[str, Array]:
    """The quiet end of a sequence is what the mask hides from a loud one."""
    mask = np.zeros((1, 1, FRAMES), np.float32)
    mask[..., :seen] = 1.0
    return {"x": numbers((1, FRAMES, 8), seed), "m": mask}


def decibels(proto: onnx.ModelProto) -> float:
    samples = [feed(seen, seed) for seed, seen in enumerate((20, 40, 60))]
    converted = hexconv.convert(proto, samples=samples)
    session, signal, noise = FloatSession(load(proto, recognize=False)), 0.0, 0.0
    for sample in samples:
        wanted = session.run(sample)["y"]
        signal += float((wanted**2).sum())
        noise += float(((hexconv.simulate(converted, sample)["y"] - wanted) ** 2).sum())
    return 10.0 * float(np.log10(signal / noise))


@pytest.mark.parametrize("guard", GUARDS)
def test_a_mask_behind_the_softmax_is_as_good_as_one_in_front(guard: str) -> None:
    # A mask that is added to the scores leaves 30.4 dB here; this one left 18 to 21.
    assert decibels(attention(GUARDS[guard])) > 29.0


def test_exponentials_times_a_mask_are_as_good() -> None:
    assert decibels(attention(GUARDS["added"], EXPONENTIALS)) > 29.0


def test_a_row_that_is_masked_throughout_is_zero() -> None:
    proto = attention(GUARDS["added"])
    converted = hexconv.convert(proto, samples=[feed(40, 1), feed(0, 2)])
    assert not hexconv.simulate(converted, feed(0, 3))["y"].any()


def test_the_same_is_computed() -> None:
    proto = attention(GUARDS["added"])
    graph = load(proto)
    assert graph.recognized["masked_softmax"] == 1
    exact, plain = FloatSession(graph), FloatSession(load(proto, recognize=False))
    for seen in (0, 1, 20, 60):
        sample = feed(seen, seen)
        sample["x"] *= np.float32(0.5)  # of what leaves the mask 1e-4 or less, eps would take 1 %
        found, wanted = exact.run(sample)["y"], plain.run(sample)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-3)


FELT = [SUM, helper.make_node("Add", ["total", "large"], ["by"])]


@pytest.mark.parametrize("shares", [None, EXPONENTIALS, EXP])
def test_a_guard_that_is_felt_is_no_worse(shares: list[Any] | None) -> None:
    """It divides the part of a row that the mask left: 19, 12 and 0.2 dB."""
    proto = attention(FELT, shares)
    assert decibels(proto) > 31.0
    graph = load(proto)
    exact, plain = FloatSession(graph), FloatSession(load(proto, recognize=False))
    for seen in (0, 1, 20, 60):
        sample = feed(seen, seen)
        sample["m"] *= np.linspace(0.2, 1.0, FRAMES, dtype=np.float32)
        found, wanted = exact.run(sample)["y"], plain.run(sample)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_sum_that_a_large_number_guards_is_left_alone() -> None:
    guard = [SUM, helper.make_node("Add", ["total", "four"], ["by"])]
    assert "masked_softmax" not in load(attention(guard)).recognized
