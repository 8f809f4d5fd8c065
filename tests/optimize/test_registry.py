"""Rewrites are known by name, have a description, and can be disabled."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.errors import ConfigError
from hexconv.optimize.registry import REWRITES, Stage, rewrite
from hexconv.settings import OPTIMIZE_LEVELS
from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, converted

PROTO = model(
    [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
    {"x": (4, 8)},
    ["y"],
    {"w": numbers((8, 4), 2)},
)
FEEDS = {"x": numbers((4, 8))}
ROW = np.linspace(-1.5, 1.5, 8, dtype=np.float32)[None]


@pytest.mark.parametrize("name", REWRITES)
def test_each_says_in_a_line_what_it_does(name: str) -> None:
    assert REWRITES[name].does.endswith(".") and len(REWRITES[name].does) <= 100
    assert REWRITES[name].name == name


@pytest.mark.parametrize("name", REWRITES)
def test_each_can_be_left_out(name: str) -> None:
    assert name not in applied(converted(PROTO, FEEDS, without=(name,)))


def declined(caplog: pytest.LogCaptureFixture, nodes: list[NodeProto], **weights: Any) -> str:
    """What the log says of a model of `nodes` that reads x and gives y."""
    with caplog.at_level(logging.DEBUG, "hexconv.optimize"):
        hexconv.convert(model(nodes, {"x": (1, 8)}, ["y"], weights), samples=[{"x": ROW}])
    return caplog.text


def test_the_log_says_why_a_relu_stays(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"], name="relu"),
        helper.make_node("Add", ["r", "m"], ["y"]),
    ]
    text = declined(caplog, nodes, w=numbers((8, 4), 2))
    assert "activation_into_range: not at relu: 'm' is read elsewhere too" in text


def test_the_log_says_why_a_tanh_keeps_its_range(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [helper.make_node("Tanh", ["x"], ["y"], name="tanh")]
    assert "tanh_in_range: not at tanh: it reaches 0.9" in declined(caplog, nodes)


def test_the_log_says_why_a_row_stays_a_product(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="wide")]
    text = declined(caplog, nodes, w=np.ones((8, 1 << 15), np.float32))
    assert "linear: not at wide: one row by a large matrix is cheaper as MatMul" in text


def test_none_leaves_out_all() -> None:
    plain = hexconv.convert(PROTO, samples=[FEEDS], optimize="none")
    assert not set(applied(plain)) & set(REWRITES)


def test_what_was_done_is_reported() -> None:
    assert applied(converted(PROTO, FEEDS)) == {"linear": 1, "activation_into_range": 1}


def test_an_unknown_rewrite_is_rejected_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no rewrite 'liner'\n.*'linear'"):
        converted(PROTO, FEEDS, without=("liner",))


def test_an_unknown_level_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=", ".join(map(repr, OPTIMIZE_LEVELS))):
        hexconv.convert(PROTO, samples=[FEEDS], optimize="fast")


def test_a_name_is_taken_once() -> None:
    def linear() -> int:
        return 0

    with pytest.raises(ValueError, match="two rewrites for linear"):
        rewrite(Stage.FUSION)(linear)
