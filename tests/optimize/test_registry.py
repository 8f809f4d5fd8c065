"""Rewrites are known by name, have a description, and can be disabled."""

from __future__ import annotations

import pytest
from onnx import helper

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


@pytest.mark.parametrize("name", REWRITES)
def test_each_says_in_a_line_what_it_does(name: str) -> None:
    assert REWRITES[name].does.endswith(".") and len(REWRITES[name].does) <= 100
    assert REWRITES[name].name == name


@pytest.mark.parametrize("name", REWRITES)
def test_each_can_be_left_out(name: str) -> None:
    assert name not in applied(converted(PROTO, FEEDS, without=(name,)))


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
