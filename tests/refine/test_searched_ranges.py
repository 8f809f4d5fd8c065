"""Ranges narrowed by what one tensor's rounding is worth at the outputs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from hexconv.onnx_graph import load
from hexconv.refine.searched_ranges import searched_ranges
from tests.lowering.proof import Array, model, numbers

SHAPE = (1, 4096)


def two_branches() -> ModelProto:
    """One whose large values a Clip takes away, and one whose large values are the result."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["limited"]),
        helper.make_node("Clip", ["limited", "low", "high"], ["c"]),
        helper.make_node("Neg", ["x"], ["whole"]),
        helper.make_node("Add", ["c", "whole"], ["y"]),
    ]
    consts = {"two": np.float32([2.0]), "low": np.float32(-2.0), "high": np.float32(2.0)}
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def feeds(count: int) -> list[dict[str, Array]]:
    return [{"x": numbers(SHAPE, seed)} for seed in range(count)]


def test_only_what_the_outputs_do_not_need_is_cut_off() -> None:
    ranges = {"limited": (-8.0, 8.0), "whole": (-4.2, 4.2)}
    found = searched_ranges(load(two_branches()), ranges, list(ranges), feeds(4), lambda: None)
    assert -5.0 < found["limited"][0] <= -2.0 and 2.0 <= found["limited"][1] < 5.0
    largest = max(float(abs(feed["x"]).max()) for feed in feeds(4))
    assert found["whole"][1] > 0.8 * largest


def test_tensors_of_one_range_stay_so() -> None:
    ranges = {"limited": (-8.0, 8.0), "c": (-2.0, 2.0), "other": (-8.0, 8.0)}
    found = searched_ranges(load(two_branches()), ranges, ["limited"], feeds(4), lambda: None)
    assert found["other"] == found["limited"] != ranges["limited"] and found["c"] == (-2.0, 2.0)


def test_a_sample_that_reaches_the_ends_is_looked_at() -> None:
    """The loudest of eight is the last one: what it needs is not cut off."""
    samples = [*feeds(7), {"x": 3.0 * numbers(SHAPE, 9)}]
    most = float(abs(samples[-1]["x"]).max())
    ranges = {"whole": (-most, most)}
    found = searched_ranges(load(two_branches()), ranges, ["whole"], samples, lambda: None)
    assert found["whole"][1] > 0.8 * most


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_range_without_zero_is_narrowed_at_its_far_end(sign: float) -> None:
    """That of a constant, which is one number, stays as it is."""

    def searched(near: float, far: float) -> tuple[float, float]:
        ranges = {"limited": (min(near, far), max(near, far))}
        proto = constant(near, near + sign)
        return searched_ranges(load(proto), ranges, ["limited"], feeds(4), lambda: None)["limited"]

    assert searched(20.0 * sign, 20.0 * sign) == (20.0 * sign, 20.0 * sign)
    near, far = sorted(map(abs, searched(20.0 * sign, 87.0 * sign)))
    assert near == 20.0 <= far < 87.0


def constant(near: float, far: float) -> ModelProto:
    """The end of a Clip that no input reaches, and its double."""
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["limited"]),
        helper.make_node("Mul", ["limited", "two"], ["y"]),
    ]
    ends = {"low": np.float32(min(near, far)), "high": np.float32(max(near, far))}
    return model(nodes, {"x": SHAPE}, ["y"], ends | {"two": np.float32([2.0])})
