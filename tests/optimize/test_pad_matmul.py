"""Zeros around a product change nothing but its speed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

import hexconv
from tests.lowering.proof import model, numbers
from tests.optimize.proof import applied, converted, ops

NAME = "pad_matmul"
FEW = settings(max_examples=12, deadline=None, derandomize=True)


def net(heads: int, rows: int, depth: int, columns: int) -> ModelProto:
    nodes = [
        helper.make_node("Tanh", ["a"], ["s"]),
        helper.make_node("MatMul", ["s", "b"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"]),
    ]
    return model(nodes, {"a": (heads, rows, depth), "b": (heads, depth, columns)}, ["y"])


def feeds(heads: int, rows: int, depth: int, columns: int) -> dict[str, np.ndarray]:
    return {"a": numbers((heads, rows, depth)), "b": numbers((heads, depth, columns), 2)}


@FEW
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_outputs_stay_bit_identical(heads: int, rows: int, depth: int, columns: int) -> None:
    sizes = heads, rows, depth, columns
    proto, given_feeds = net(*sizes), feeds(*sizes)
    on, off = (converted(proto, given_feeds, without=names) for names in ((), (NAME,)))
    assert NAME not in applied(off) and (NAME in applied(on) or depth % 16 == 0)
    results = [hexconv.simulate(m, given_feeds, library="v60")["y"] for m in (on, off)]
    np.testing.assert_array_equal(*results)


def test_a_depth_of_36_is_padded_to_48() -> None:
    on = converted(net(2, 8, 36, 8), feeds(2, 8, 36, 8))
    product = next(n for n in on.graph.nodes if n.op == "QuantizedBatchMatMul_8x8to32")
    shapes = {n.id: n.outputs[0].shape for n in on.graph.nodes if n.outputs}
    assert [shapes[product.inputs[0].node][3], shapes[product.inputs[1].node][2]] == [48, 48]


def test_columns_are_padded_where_many_rows_pay_for_it() -> None:
    on = converted(net(4, 144, 64, 144), feeds(4, 144, 64, 144))
    product = next(n for n in on.graph.nodes if n.op == "QuantizedBatchMatMul_8x8to32")
    assert product.outputs[0].shape == (1, 4, 144, 160) and ops(on)["QuantizedSlice_8"] == 1


@pytest.mark.parametrize("sizes", [(1, 8, 32, 32), (2, 16, 64, 64)])
def test_sizes_that_fit_are_left_alone(sizes: tuple[int, int, int, int]) -> None:
    assert NAME not in applied(converted(net(*sizes), feeds(*sizes)))


def test_constants_grow_at_conversion() -> None:
    nodes = [helper.make_node("MatMul", ["a", "w"], ["y"])]
    proto = model(nodes, {"a": (2, 5, 20)}, ["y"], {"w": numbers((2, 20, 8), 2)})
    on = converted(proto, {"a": numbers((2, 5, 20))})
    assert applied(on)[NAME] == 1 and ops(on)["QuantizedPad_8"] == 1
