"""A residual stream that only layer norms read may as well have no mean."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from hexconv.onnx_graph import FloatGraph
from tests.lowering.proof import model, numbers
from tests.optimize.proof import better, ops, rewritten

NAME = "norm_centering"
WIDTH = 16
FEEDS = {"x": numbers((1, 10, 8))}
CONSTS = {
    "w0": 0.4 * numbers((8, WIDTH), 2),
    "b0": numbers((WIDTH,), 3),
    "w1": 0.3 * numbers((WIDTH, WIDTH), 4),
    "b1": numbers((WIDTH,), 5),
    "gamma": 1.0 + 0.3 * numbers((WIDTH,), 6),
    "beta": numbers((WIDTH,), 7),
    "half": np.float32(0.5),
    "position": numbers((10, WIDTH), 8),
}


def net(*extra: tuple[str, list[str], list[str]], outputs: tuple[str, ...] = ("y",)) -> ModelProto:
    """Linear, then a pre-norm block on its residual stream, and a last norm."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["m0"]),
        helper.make_node("Add", ["m0", "b0"], ["s0"]),
        helper.make_node("Add", ["s0", "position"], ["s1"]),
        helper.make_node("LayerNormalization", ["s1", "gamma", "beta"], ["n1"], axis=-1),
        helper.make_node("MatMul", ["n1", "w1"], ["m1"]),
        helper.make_node("Add", ["b1", "m1"], ["a1"]),
        helper.make_node("Mul", ["a1", "half"], ["h1"]),
        helper.make_node("Add", ["s1", "h1"], ["s2"]),
        helper.make_node("LayerNormalization", ["s2", "gamma"], ["y"], axis=-1),
        *(helper.make_node(op, inputs, made) for op, inputs, made in extra),
    ]
    return model(nodes, {"x": (1, 10, 8)}, outputs, CONSTS)


def kinds(graph: FloatGraph) -> set[str]:
    return {node.op_type for node in graph.nodes}


def test_every_norm_of_a_pre_norm_stream_becomes_rms_norm() -> None:
    graph, count = rewritten(net(), NAME, FEEDS)
    assert count == 1, "one stream"
    assert "LayerNormalization" not in kinds(graph) and "RMSNormalization" in kinds(graph)


def test_the_stream_has_no_mean_and_new_names() -> None:
    graph, _ = rewritten(net(), NAME, FEEDS)
    names = {v.name for node in graph.nodes for v in node.outputs}
    assert not names & {"s0", "s1", "s2", "a1", "h1"} and "y" in names


@pytest.mark.parametrize(
    ("extra", "outputs"),
    [
        ((("Relu", ["s2"], ["r"]),), ("y", "r")),
        ((("MatMul", ["s2", "w1"], ["r"]),), ("y", "r")),
        ((), ("y", "s2")),
    ],
)
def test_it_declines_where_someone_needs_the_mean(
    extra: tuple[tuple[str, list[str], list[str]], ...], outputs: tuple[str, ...]
) -> None:
    assert rewritten(net(*extra, outputs=outputs), NAME, FEEDS)[1] == 0


def test_it_declines_where_the_stream_comes_from_outside() -> None:
    nodes = [helper.make_node("LayerNormalization", ["x", "g"], ["y"], axis=-1)]
    proto = model(nodes, {"x": (1, 10, 8)}, ["y"], {"g": numbers((8,))})
    assert rewritten(proto, NAME, FEEDS)[1] == 0


def test_it_declines_after_a_norm() -> None:
    """Post-norm: the second norm reads the first one's output, not a sum of products."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["m"]),
        helper.make_node("LayerNormalization", ["m", "gamma"], ["n"], axis=-1),
        helper.make_node("MatMul", ["n", "w1"], ["p"]),
        helper.make_node("Add", ["n", "p"], ["s"]),
        helper.make_node("LayerNormalization", ["s", "gamma"], ["y"], axis=-1),
    ]
    graph, count = rewritten(model(nodes, {"x": (1, 10, 8)}, ["y"], CONSTS), NAME, FEEDS)
    assert count == 1
    assert sum(node.op_type == "LayerNormalization" for node in graph.nodes) == 1


def test_it_saves_the_mean_and_the_subtraction() -> None:
    on, off = better(net(), NAME, FEEDS, 8.0)
    assert sum(ops(on).values()) <= sum(ops(off).values()) - 4
    assert ops(on).get("QuantizedSub_8p8to8", 0) < ops(off)["QuantizedSub_8p8to8"]


def block(stream: str, number: int) -> list[NodeProto]:
    """Two pre-norm branches on `stream`, then a norm of the sum: y0, y1..."""
    nodes, value = [], stream
    for branch in "ab":
        name = f"{branch}{number}"
        nodes += [
            helper.make_node("LayerNormalization", [value, "gamma", "beta"], [f"n{name}"], axis=-1),
            helper.make_node("MatMul", [f"n{name}", "w1"], [f"m{name}"]),
            helper.make_node("Add", [value, f"m{name}"], [f"s{name}"]),
        ]
        value = f"s{name}"
    last = helper.make_node("LayerNormalization", [value, "gamma", "beta"], [f"y{number}"], axis=-1)
    return [*nodes, last]


def blocks() -> ModelProto:
    """As a Conformer: each block ends in a norm, whose output is the next one's stream."""
    start = helper.make_node("MatMul", ["x", "w0"], ["s"])
    return model([start, *block("s", 0), *block("y0", 1)], {"x": (1, 10, 8)}, ["y1"], CONSTS)


def test_what_joins_a_stream_from_outside_is_centered_once() -> None:
    graph, count = rewritten(blocks(), NAME, FEEDS)
    ops_ = [node.op_type for node in graph.nodes]
    assert count == 2 and "LayerNormalization" not in ops_
    assert ops_.count("RMSNormalization") == 6
    assert ops_.count("ReduceMean") == ops_.count("Sub") == 1
    # After beta, so that gamma and beta stay one node.
    joining = next(node for node in graph.nodes if node.op_type == "Sub").inputs[0]
    assert joining is not None and joining.name == "y0"


def test_others_read_the_joining_value_with_its_mean() -> None:
    proto = blocks()
    proto.graph.node.append(helper.make_node("MatMul", ["y0", "w1"], ["z"]))
    extended = model(proto.graph.node, {"x": (1, 10, 8)}, ["y1", "z"], CONSTS)
    graph, count = rewritten(extended, NAME, FEEDS)
    product = next(n for n in graph.nodes if n.outputs[0].name == "z")
    assert count == 2 and product.inputs[0] is not None and product.inputs[0].name == "y0"


@pytest.mark.parametrize("value", ["s1", "h1", "a1"])
def test_what_others_read_too_is_centered_for_the_stream_alone(value: str) -> None:
    graph, count = rewritten(net(("Relu", [value], ["r"]), outputs=("y", "r")), NAME, FEEDS)
    kinds_ = [node.op_type for node in graph.nodes]
    assert count == 1 and kinds_.count("Sub") == kinds_.count("ReduceMean") == 1
    relu = next(node for node in graph.nodes if node.op_type == "Relu")
    assert relu.inputs[0] is not None and relu.inputs[0].name == value
