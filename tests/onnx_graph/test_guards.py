"""Guards against NaN and infinity are false on the DSP; what they guard is converted."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.onnx_graph import load
from tests.lowering.proof import Array, decibels, model, numbers

node = helper.make_node
SHAPE = (2, 6, 8)
SOFTMAX = node("Softmax", ["x"], ["p"], axis=-1)
IS_NAN = node("IsNaN", ["p"], ["i"])
CONSTS: dict[str, Array] = {
    "zero": np.float32(0),
    "big": np.float32(3.4e38),
    "low": np.float32(-np.inf),
    "causal": np.tril(np.ones((6, 8), bool)),
    "rowless": np.repeat(np.arange(6)[:, None] > 0, 8, axis=1),
}
GUARDED = {
    "Where": [SOFTMAX, IS_NAN, node("Where", ["i", "zero", "p"], ["y"])],
    "Not": [SOFTMAX, IS_NAN, node("Not", ["i"], ["k"]), node("Where", ["k", "p", "zero"], ["y"])],
    "infinity": [
        node("Tanh", ["x"], ["p"]),
        node("IsInf", ["p"], ["i"], detect_negative=0),
        node("Where", ["i", "big", "p"], ["y"]),
    ],
    "both": [
        node("Tanh", ["x"], ["p"]),
        IS_NAN,
        node("IsInf", ["p"], ["j"]),
        node("Or", ["i", "j"], ["k"]),
        node("Where", ["k", "zero", "p"], ["y"]),
    ],
    "behind a mask": [
        node("Where", ["causal", "x", "low"], ["w"]),
        node("Softmax", ["w"], ["p"], axis=-1),
        IS_NAN,
        node("Where", ["i", "zero", "p"], ["y"]),
    ],
}
NOT_GUARDS = {
    "output": [node("IsNaN", ["x"], ["i"]), node("Cast", ["i"], ["y"], to=1)],
    "a row that is masked as a whole": [
        node("Where", ["rowless", "x", "low"], ["w"]),
        *GUARDED["behind a mask"][1:],
    ],
    "a mask of each run": [
        node("Greater", ["x", "zero"], ["g"]),
        node("Where", ["g", "x", "low"], ["w"]),
        *GUARDED["behind a mask"][1:],
    ],
}


def proto(nodes: list[NodeProto]) -> onnx.ModelProto:
    read = {name for item in nodes for name in item.input}
    consts = {name: array for name, array in CONSTS.items() if name in read}
    return model(nodes, {"x": SHAPE}, ["y"], consts, 18)


@pytest.mark.parametrize("form", GUARDED)
def test_what_is_guarded_converts_without_its_guard(form: str) -> None:
    made = proto(GUARDED[form])
    assert not {"IsNaN", "IsInf"} & {item.op_type for item in load(made).nodes}
    assert hexconv.check(made).ok
    assert decibels(made, [{"x": numbers(SHAPE, seed)} for seed in range(4)]) > 33


@pytest.mark.parametrize("form", NOT_GUARDS)
def test_what_depends_on_nan_itself_is_unsupported(form: str) -> None:
    report = hexconv.check(proto(NOT_GUARDS[form]))
    assert not report.ok


@pytest.mark.parametrize("value", [True, False])
def test_a_condition_that_is_the_same_everywhere_chooses_a_branch(value: bool) -> None:
    nodes = [node("Where", ["c", "x", "zero"], ["w"]), node("Add", ["w", "x"], ["y"])]
    consts = {"c": np.full((6, 8), value), "zero": np.float32(0)}
    made = model(nodes, {"x": SHAPE}, ["y"], consts, 18)
    assert "Where" not in [item.op_type for item in load(made).nodes]
    assert decibels(made, [{"x": numbers(SHAPE, seed)} for seed in range(4)]) > 33
