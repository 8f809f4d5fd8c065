"""gamma and beta are folded into the products after a norm: the same outputs, no Mul, no Add."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of
from tests.lowering.proof import model, numbers
from tests.optimize.proof import better, ops, rewritten

NAME = "norm_affine_into_linear"
WIDTH = 16
FEEDS = {"x": numbers((1, 10, WIDTH))}
CONSTS = {
    "gamma": 1.0 + 0.3 * numbers((WIDTH,), 2),
    "beta": numbers((WIDTH,), 3),
    "w": 0.3 * numbers((WIDTH, 8), 4),
    "v": 0.3 * numbers((WIDTH, 8), 5),
    "b": numbers((8,), 6),
}


def net(*, readers: int = 1, bias: bool = True, also: str = "") -> ModelProto:
    """A layer norm and the Linears that read it."""
    nodes = [helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["n"], axis=-1)]
    outputs = []
    for number in range(readers):
        name = f"y{number}"
        nodes.append(helper.make_node("MatMul", ["n", "wv"[number]], [f"p{number}"]))
        if bias:
            nodes.append(helper.make_node("Add", [f"p{number}", "b"], [name]))
        outputs.append(name if bias else f"p{number}")
    if also:
        nodes.append(helper.make_node(also, ["n"], ["other"]))
        outputs.append("other")
    return model(nodes, {"x": (1, 10, WIDTH)}, outputs, CONSTS)


def norm_inputs(graph: FloatGraph) -> list[np.ndarray | None]:
    node = next(n for n in graph.nodes if n.op_type == "LayerNormalization")
    return [array_of(value) for value in node.inputs[1:]]


@pytest.mark.parametrize("readers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_the_float_graph_returns_the_same(readers: int, bias: bool) -> None:
    graph, count = rewritten(net(readers=readers, bias=bias), NAME, FEEDS)
    assert count == 1
    gamma, *beta = norm_inputs(graph)
    assert gamma is not None and (gamma == 1).all() and beta == []
    assert sum(n.op_type == "Add" for n in graph.nodes) == readers


def test_changed_tensors_have_new_names() -> None:
    """A range file of the original model must not be taken for them."""
    graph, _ = rewritten(net(), NAME, FEEDS)
    names = {v.name for node in graph.nodes for v in node.outputs}
    assert "n" not in names and "p0" not in names and "y0" in names


@pytest.mark.parametrize("also", ["Relu", "Identity"])
def test_it_declines_where_others_read_the_norm(also: str) -> None:
    assert rewritten(net(also=also), NAME, FEEDS)[1] == 0


def test_it_declines_where_there_is_nothing_to_fold() -> None:
    proto = net()
    plain = {"gamma": np.ones(WIDTH, np.float32), "beta": np.zeros(WIDTH, np.float32)}
    proto = model(proto.graph.node, {"x": (1, 10, WIDTH)}, ["y0"], {**CONSTS, **plain})
    assert rewritten(proto, NAME, FEEDS)[1] == 0


def test_it_saves_the_product_and_the_sum() -> None:
    on, off = better(net(), NAME, FEEDS, 4.0)
    # Without it, factor and addend are one BatchNorm.
    assert sum(ops(on).values()) == sum(ops(off).values()) - 1
