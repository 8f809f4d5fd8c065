"""Parts that are stacked on the first axis and taken by their index are slices of the channels."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from hexconv.onnx_graph import load
from hexconv.optimize.on_float.stacked_slices import stacked_slices
from tests.lowering.proof import ints, model, numbers
from tests.optimize.proof import better, ops, rewritten

NAME = "stacked_slices"
TIME, WIDTH = 10, 32
FRONT = (3, 1, 2, 0, 4)


def stacked(
    *,
    perm: tuple[int, ...] = FRONT,
    parted: tuple[int, ...] = (1, TIME, 1, 3, WIDTH),
    batch: int = 1,
    indices: tuple[int, ...] = (0, 1, -1),
    also: str = "",
) -> ModelProto:
    """One product, its channels parted in three, the three moved to the front and multiplied."""
    consts = {"w": 0.2 * numbers((16, 3 * WIDTH), 2), "b": numbers((3 * WIDTH,), 3)}
    consts |= {"p": ints(*parted), "s": ints(3, TIME, batch, WIDTH)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Reshape", ["a", "p"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=perm),
        helper.make_node("Reshape", ["t", "s"], ["u"]),
    ]
    for name, index in zip("qkv", indices, strict=True):
        consts[f"i{name}"] = ints(index)[0]
        nodes.append(helper.make_node("Gather", ["u", f"i{name}"], [name], axis=0))
    nodes += [
        helper.make_node("Mul", ["q", "k"], ["z"]),
        helper.make_node("Sub", ["z", "v"], ["y"]),
    ]
    return model(nodes, {"x": (TIME, batch, 16)}, ["y", *([also] if also else [])], consts)


FEEDS = {"x": numbers((TIME, 1, 16))}


@pytest.mark.parametrize("indices", [(0, 1, -1), (2, 0, 1), (1, 1, 0)])
def test_each_is_a_slice_and_the_stack_is_gone(indices: tuple[int, ...]) -> None:
    graph, count = rewritten(stacked(indices=indices), NAME, FEEDS)
    kinds = [node.op_type for node in graph.nodes]
    assert count == 3 and kinds.count("Slice") == 3
    assert not {"Gather", "Transpose"} & set(kinds)


def test_they_become_products_and_nothing_is_cut() -> None:
    on, off = better(stacked(), NAME, FEEDS, 6.0)
    assert ops(off)["QuantizedSlice_8"] == 3 and "QuantizedSlice_8" not in ops(on)
    assert ops(off)["Supernode_8x8p32to8"] == 1 and ops(on)["Supernode_8x8p32to8"] == 3


def test_a_stack_that_is_requested_stays_beside_its_slices() -> None:
    graph, count = rewritten(stacked(also="u"), NAME, FEEDS)
    assert count == 3 and "Transpose" in [node.op_type for node in graph.nodes]


def test_in_a_batch_the_stack_stays() -> None:
    proto = stacked(batch=2, parted=(1, TIME, 2, 3, WIDTH))
    assert stacked_slices(load(proto)) == 0


@pytest.mark.parametrize(
    ("perm", "parted"),
    [
        ((4, 1, 2, 0, 3), (1, TIME, 1, WIDTH, 3)),  # every third channel
        ((3, 4, 2, 0, 1), (1, TIME, 1, 3, WIDTH)),  # what is left is transposed
        ((1, 0, 2, 3, 4), (1, 3, 1, TIME, WIDTH)),  # rows and channels mixed
    ],
)
def test_other_moves_are_left_alone(perm: tuple[int, ...], parted: tuple[int, ...]) -> None:
    assert stacked_slices(load(stacked(perm=perm, parted=parted))) == 0


def test_channels_before_an_axis_of_one_are_left_alone() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "p"], ["r"]),
        helper.make_node("Gather", ["r", "i"], ["y"], axis=1),
    ]
    consts = {"p": ints(TIME, 3, WIDTH), "i": ints(1)[0]}
    flat = model(nodes, {"x": (TIME, 3 * WIDTH, 1)}, ["y"], consts)
    assert stacked_slices(load(flat)) == 0
