"""The graph is what MACE would have built: ids, names, shared constants."""

from __future__ import annotations

import numpy as np

from hexconv.nnlib.builder import SCALAR, Builder, Tensor
from hexconv.nnlib.graph import Origin, Output
from hexconv.nnlib.layout import Layout
from hexconv.quantize import Range

UNIT = Range(1.0 / 128.0, 128)


def add(builder: Builder, name: str) -> Tensor:
    """A node that needs nothing."""
    return builder.quantized("QuantizedRelu_8", [], (1, 1, 1, 4), UNIT, name=name)


def test_equal_small_constants_are_stored_once() -> None:
    builder = Builder("m")
    first = builder.minmax("a", UNIT)
    assert builder.minmax("b", UNIT) == first
    assert builder.ints("p", [0, 1]) == builder.ints("q", [0, 1])
    assert [const.name for const in builder.graph.consts] == ["a_min", "a_max", "p"]


def test_constants_that_differ_in_type_shape_or_meaning_are_not_shared() -> None:
    builder = Builder("m")
    codes = np.zeros((1, 1, 1, 4), np.uint8)
    refs = {
        builder.const("a", codes, UNIT),
        builder.const("b", codes, Range(1.0, 0)),
        builder.const("c", codes.reshape(1, 1, 2, 2), UNIT),
        builder.const("d", codes.astype(np.int32)),
        builder.extent("e", 1, 4),
    }
    assert len(refs) == 5


def test_large_constants_are_not_compared() -> None:
    """Hashing weights would cost more than storing the rare equal ones twice."""
    builder = Builder("m")
    weights = np.zeros((1, 1, 64, 128), np.uint8)
    assert builder.const("a", weights) != builder.const("b", weights)


def test_names_are_unique_and_keep_their_stem() -> None:
    builder = Builder("m")
    for _ in range(3):
        add(builder, "x")
    builder.const("x", np.zeros(2, np.float32))
    assert [node.name for node in builder.graph.nodes] == ["x", "x_2", "x_3"]
    assert builder.graph.consts[0].name == "x_4"


def test_constants_come_first_in_the_numbering() -> None:
    builder = Builder("m")
    tensor = add(builder, "x")
    low, high = builder.minmax("x", UNIT)
    builder.node("QuantizedRelu_8", [tensor.data, low, high], [Output(SCALAR, "uint8")], name="y")
    graph = builder.finish()
    assert [const.id for const in graph.consts] == [0, 1]
    assert [node.id for node in graph.nodes] == [2, 3]
    assert [ref.node for ref in graph.nodes[1].inputs] == [2, 0, 1]


def test_low_ranks_are_padded_on_the_left() -> None:
    builder = Builder("m")
    builder.const("v", np.zeros(5, np.float32))
    assert builder.graph.consts[0].array.shape == (1, 1, 1, 5)


def test_the_first_tensor_that_a_node_holds_is_its_origin() -> None:
    builder = Builder("m")
    tensor = add(builder, "x")
    first = Origin("x", (4,), Layout.plain(1))
    builder.mark_origin(tensor, first)
    builder.mark_origin(tensor, Origin("renamed", (4,), Layout.plain(1)))
    assert builder.graph.nodes[0].origin == first


def test_nodes_remember_the_onnx_node_that_they_came_from() -> None:
    builder = Builder("m")
    builder.onnx_node = "matmul_1"
    add(builder, "x")
    assert builder.finish().nodes[0].onnx_node == "matmul_1"
