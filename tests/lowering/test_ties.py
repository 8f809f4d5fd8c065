"""Tensors that must share a range are solved together; what clips there keeps clipping."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hexconv.lowering  # noqa: F401  (registers the ties)
from hexconv.annotations import annotate
from hexconv.lowering.range_groups import solve
from hexconv.onnx_graph import NodeView
from hexconv.quantize import Range, cover

Bounds = tuple[float, float]


class Net:
    """Nodes by op and value names."""

    def __init__(self) -> None:
        self.values: dict[str, ir.Value] = {}
        self.nodes: list[ir.Node] = []

    def add(self, op: str, inputs: str, output: str, clips: Bounds | None = None) -> Net:
        """One node; inputs are names with blanks between them."""
        sources = [self.values.setdefault(name, ir.Value(name=name)) for name in inputs.split()]
        node = ir.node(op, sources)
        node.outputs[0].name = output
        self.values[output] = node.outputs[0]
        if clips is not None:
            annotate(node, saturates=clips)
        self.nodes.append(node)
        return self

    def solve(self, ends: Sequence[str] = (), **observed: Bounds) -> dict[str, Range]:
        """The ranges, given what was seen."""
        return solve([NodeView(node) for node in self.nodes], observed, ends)


def test_an_op_that_copies_its_range_ties_its_output_to_its_input() -> None:
    ranges = Net().add("Relu", "x", "y").solve(x=(-2.0, 3.0), y=(0.0, 3.0))
    assert ranges["x"] == ranges["y"] == cover(-2.0, 3.0)


def test_ops_that_ask_for_a_range_are_free() -> None:
    ranges = Net().add("Add", "a b", "y").solve(a=(-1.0, 1.0), b=(0.0, 9.0), y=(-1.0, 10.0))
    assert ranges["y"] == cover(-1.0, 10.0) and ranges["a"] == cover(-1.0, 1.0)


def test_a_join_ties_its_inputs_to_each_other() -> None:
    ranges = Net().add("Concat", "a b", "y").solve(a=(-1.0, 1.0), b=(0.0, 9.0), y=(-1.0, 9.0))
    assert ranges["a"] == ranges["b"] == ranges["y"] == cover(-1.0, 9.0)


def test_a_join_leaves_alone_what_others_read_too() -> None:
    net = Net().add("Concat", "a b", "y").add("Sigmoid", "a", "z")
    ranges = net.solve(a=(-1.0, 1.0), b=(0.0, 9.0), y=(-1.0, 9.0), z=(0.0, 1.0))
    assert ranges["a"] == cover(-1.0, 1.0) and ranges["b"] == ranges["y"]


def test_a_chain_of_ties_is_one_group() -> None:
    names = [f"t{i}" for i in range(50)]
    net = Net()
    for before, after in pairwise(names):
        net.add("Transpose", before, after)
    ranges = net.solve(**{name: (-float(i), 0.5) for i, name in enumerate(names)})
    assert set(ranges.values()) == {cover(-49.0, 0.5)}


@pytest.mark.parametrize("op", ["Concat", "Pad"])
def test_what_clips_at_zero_joins_nothing_that_reaches_below(op: str) -> None:
    net = Net().add("Conv", "x", "r", clips=(0.0, float("inf")))
    net.add(op, "r s" if op == "Concat" else "r", "y")
    ranges = net.solve(x=(-1.0, 1.0), r=(0.0, 4.0), s=(-3.0, 1.0), y=(-3.0, 4.0))
    assert ranges["r"].min == 0.0 and ranges["y"].min <= -3.0


def test_what_clips_at_zero_joins_what_is_above() -> None:
    net = Net().add("Conv", "x", "r", clips=(0.0, float("inf"))).add("Concat", "r s", "y")
    ranges = net.solve(x=(-1.0, 1.0), r=(0.0, 4.0), s=(0.0, 9.0), y=(0.0, 9.0))
    assert ranges["r"] == ranges["y"] == cover(0.0, 9.0)


def test_a_clip_at_six_stays_at_six() -> None:
    net = Net().add("Conv", "x", "r", clips=(0.0, 6.0)).add("Concat", "r s", "y")
    ranges = net.solve(x=(-1.0, 1.0), r=(0.0, 6.0), s=(0.0, 9.0), y=(0.0, 9.0))
    assert ranges["r"] == cover(0.0, 6.0) and ranges["y"] == ranges["s"] == cover(0.0, 9.0)


def test_the_limit_holds_through_a_chain_of_copies() -> None:
    net = Net().add("Conv", "x", "r", clips=(0.0, 6.0)).add("Transpose", "r", "t")
    net.add("Concat", "t s", "y")
    ranges = net.solve(x=(-1.0, 1.0), r=(0.0, 6.0), t=(0.0, 6.0), s=(-9.0, 9.0), y=(-9.0, 9.0))
    assert ranges["r"] == ranges["t"] == cover(0.0, 6.0)


def test_a_range_file_cannot_undo_an_activation() -> None:
    net = Net().add("Conv", "x", "r", clips=(0.0, 6.0))
    assert net.solve(x=(-1.0, 1.0), r=(-2.0, 8.0))["r"] == cover(0.0, 6.0)


@given(
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["Slice", "Add", "Concat"])), max_size=8),
    st.lists(st.tuples(st.floats(-9, 0), st.floats(0, 9)), min_size=16, max_size=16),
)
def test_every_tensor_fits_its_range(steps: list[tuple[int, str]], bounds: list[Bounds]) -> None:
    net = Net()
    names = [f"t{i}" for i in range(8)]
    for index, op in steps:
        inputs = names[index] if op == "Slice" else f"{names[index]} {names[index - 1]}"
        names.append(f"t{len(names)}")
        net.add(op, inputs, names[-1])
    observed = dict(zip(names, bounds, strict=False))
    ranges = net.solve(**observed)
    assert ranges.keys() == observed.keys()
    for name, (low, high) in observed.items():
        assert ranges[name].min <= low and high <= ranges[name].max


@pytest.mark.parametrize("reader", ["Concat", "Pad"])
@pytest.mark.parametrize("other", ["output", "Sigmoid", "through a copy"])
def test_what_something_else_needs_too_keeps_its_range(reader: str, other: str) -> None:
    net = Net()
    name = "a"
    if other == "through a copy":
        name = "t"
        net.add("Transpose", "a", "t")
    if other != "output":
        net.add("Sigmoid", "a", "z")
    net.add(reader, f"{name} b" if reader == "Concat" else name, "y")
    observed = {"a": (-1.0, 1.0), "t": (-1.0, 1.0), "b": (-9.0, 9.0), "y": (-9.0, 9.0)}
    ranges = net.solve(ends=["a"] if other == "output" else [], **observed, z=(0.0, 1.0))
    assert ranges["a"] == cover(-1.0, 1.0) and ranges["y"] == cover(-9.0, 9.0)


def test_a_range_that_hardly_grows_is_shared_all_the_same() -> None:
    net = Net().add("Sigmoid", "a", "z").add("Concat", "a b", "y")
    ranges = net.solve(a=(-1.0, 1.0), b=(-1.2, 1.2), y=(-1.2, 1.2), z=(0.0, 1.0))
    assert ranges["a"] == ranges["y"]


@pytest.mark.parametrize("other", ["output", "Sigmoid"])
def test_a_join_of_which_little_is_needed_is_no_wider_for_a_part_that_others_need(
    other: str,
) -> None:
    """Only -3..-0.1 of the join is read: the range of the part would leave five levels of it."""
    net = Net().add("Concat", "a b", "y").add("Clip", "y low high", "z")
    net.values["low"].const_value = ir.tensor(np.float32(-3))
    net.values["high"].const_value = ir.tensor(np.float32(-0.1))
    if other == "Sigmoid":
        net.add("Sigmoid", "a", "s")
    observed = {"a": (0.0, 158.0), "b": (-12.0, 9.0), "y": (-12.0, 158.0), "z": (-3.0, -0.1)}
    ranges = net.solve(ends=["a"] if other == "output" else [], **observed, s=(0.5, 1.0))
    assert ranges["y"] == cover(-3.0, -0.1) and ranges["a"] == cover(0.0, 158.0)


def test_what_a_where_alone_reads_needs_no_more_than_its_range() -> None:
    net = Net().add("Exp", "x", "e").add("Where", "m e x", "y")
    ranges = net.solve(x=(-2.0, 6.0), e=(0.0, 400.0), y=(-1.0, 6.0))
    assert ranges["e"] == ranges["y"] == cover(-1.0, 6.0)
    assert ranges["x"] == cover(-2.0, 6.0)


@pytest.mark.parametrize("op", ["Relu", "Clip"])
def test_what_is_clipped_far_inside_has_a_range_of_its_own(op: str) -> None:
    net = Net().add(op, "x", "y").add("Sigmoid", "x", "z")
    ranges = net.solve(x=(-9.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0))
    assert ranges["x"] == cover(-9.0, 1.0) and ranges["y"] == cover(0.0, 1.0)


@pytest.mark.parametrize("op", ["Relu", "Clip"])
def test_what_only_a_clip_reads_has_its_range(op: str) -> None:
    ranges = Net().add("Add", "u v", "x").add(op, "x", "y").solve(x=(-9.0, 1.0), y=(0.0, 1.0))
    assert ranges["x"] == ranges["y"] == cover(0.0, 1.0)


@pytest.mark.parametrize("limits", [(-0.5, 0.0), (-0.2, 0.1), (0.0, 0.3)])
def test_what_clips_and_was_seen_at_0_only_still_clips(limits: Bounds) -> None:
    net = Net().add("Conv", "x", "y", clips=limits)
    assert net.solve(x=(-1.0, 3.0), y=(0.0, 0.0))["y"] == cover(*limits)
