"""Constants of equal bytes are stored once in the model that is written."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import hexconv
from hexconv.nnlib.graph import Const, Graph, Node, Output, Ref
from hexconv.nnlib.shared_consts import with_shared_consts
from hexconv.simulator import Simulator
from tests.lowering.proof import model, numbers

WIDE = 72  # whose matrices are larger than what the builder shares


def rnn(time: int) -> onnx.ModelProto:
    consts = {"w": numbers((1, WIDE, WIDE), 1) / 5, "r": numbers((1, WIDE, WIDE), 2) / 5}
    node = onnx.helper.make_node("RNN", ["x", "w", "r"], ["y"], name="node", hidden_size=WIDE)
    return model([node], {"x": (time, 4, WIDE)}, ["y"], consts)


def graph_of(*consts: Const) -> Graph:
    """One node that reads all of them."""
    reads = tuple(Ref(const.id) for const in consts)
    return Graph("g", list(consts), [Node(9, "n", "Nop", reads, (Output((1, 1, 1, 1), "uint8"),))])


def test_an_unrolled_recurrence_has_its_weights_once() -> None:
    samples = [{"x": numbers((5, 4, WIDE), 3)}]
    consts = hexconv.convert(rnn(5), samples=samples).graph.consts
    assert sum(const.array.size == WIDE * WIDE for const in consts) == 2


def test_sharing_changes_no_bit_of_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {"x": numbers((3, 4, WIDE), 3)}
    shared = hexconv.convert(rnn(3), samples=[feeds])
    monkeypatch.setattr("hexconv.conversion.with_shared_consts", lambda graph: graph)
    apart = hexconv.convert(rnn(3), samples=[feeds])
    assert len(shared.graph.consts) < len(apart.graph.consts)
    same = [Simulator(made.graph, "v60").run(feeds)["y"] for made in (shared, apart)]
    np.testing.assert_array_equal(*same)


def test_the_first_of_equal_constants_stays() -> None:
    array = np.ones((1, 1, 1, 8), np.uint8)
    graph = with_shared_consts(graph_of(Const(1, "a", array), Const(2, "b", array.copy())))
    assert [const.name for const in graph.consts] == ["a"]
    assert graph.nodes[0].inputs == (Ref(0), Ref(0))


@pytest.mark.parametrize(
    "other",
    [
        Const(2, "b", np.ones((1, 1, 1, 8), np.int8)),
        Const(2, "b", np.ones((1, 1, 2, 4), np.uint8)),
        Const(2, "b", np.zeros((1, 1, 1, 8), np.uint8)),
        Const(2, "b", np.ones((1, 1, 1, 8), np.uint8), range=(0.0, 2.0)),
        Const(2, "b", np.ones((1, 1, 1, 8), np.uint8), shape_only=True),
    ],
    ids=["type", "shape", "bytes", "range", "shape only"],
)
def test_constants_that_differ_in_anything_are_two(other: Const) -> None:
    graph = graph_of(Const(1, "a", np.ones((1, 1, 1, 8), np.uint8), range=(0.0, 1.0)), other)
    assert with_shared_consts(graph) is graph
