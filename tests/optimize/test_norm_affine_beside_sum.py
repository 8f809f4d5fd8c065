"""Of a norm that products and a sum read, the products take gamma and beta into their weights."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.compare.metrics import decibels
from hexconv.simulator import Simulator
from tests.calibrate.test_outlier_channels import feeds, post_norm
from tests.lowering.proof import float_outputs, model, numbers, same_on_the_library
from tests.optimize.proof import rewritten

NAME = "norm_affine_beside_sum"
WIDTH = 16
FEEDS = {"x": numbers((1, 10, WIDTH))}
CONSTS = {
    "gamma": 1.0 + 0.3 * numbers((WIDTH,), 2),
    "beta": numbers((WIDTH,), 3),
    "w": 0.3 * numbers((WIDTH, WIDTH), 4),
    "b": numbers((WIDTH,), 5),
}


def net(norm: list[str], *, also: str = "", ends: str = "LayerNormalization") -> ModelProto:
    """n = norm(x) and norm(n + Linear(n))."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", *norm], ["n"], axis=-1),
        helper.make_node("MatMul", ["n", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["a"]),
        helper.make_node("Add", ["n", "a"], ["s"]),
    ]
    if ends == "Relu":
        nodes.append(helper.make_node("Relu", ["s"], ["y"]))
    else:
        nodes.append(helper.make_node(ends, ["s", "gamma", "beta"], ["y"], axis=-1))
    outputs = ["y"]
    if also:
        nodes.append(helper.make_node(also, ["n"], ["other"]))
        outputs.append("other")
    return model(nodes, {"x": (1, 10, WIDTH)}, outputs, CONSTS)


@pytest.mark.parametrize("norm", [["gamma", "beta"], ["gamma"]])
def test_the_float_graph_returns_the_same(norm: list[str]) -> None:
    graph, count = rewritten(net(norm), NAME, FEEDS)
    assert count == 1
    product = next(node for node in graph.nodes if node.op_type == "MatMul")
    reads = product.inputs[0]
    assert reads is not None and reads.name == "n/plain"
    kept = {str(value.name) for node in graph.nodes for value in node.outputs}
    assert "n" in kept  # the sum reads it
    assert ("p" in kept) == (len(norm) == 1)  # beta has moved through it


def test_it_declines_where_something_else_reads_the_norm() -> None:
    assert rewritten(net(["gamma", "beta"], also="Relu"), NAME, FEEDS)[1] == 0


def test_it_declines_where_no_norm_reads_the_sum() -> None:
    assert rewritten(net(["gamma", "beta"], ends="Relu"), NAME, FEEDS)[1] == 0


def test_it_declines_where_there_is_nothing_to_fold() -> None:
    proto = net(["gamma"])
    plain = {**CONSTS, "gamma": np.ones(WIDTH, np.float32)}
    proto = model(proto.graph.node, {"x": (1, 10, WIDTH)}, ["y"], plain)
    assert rewritten(proto, NAME, FEEDS)[1] == 0


def sqnr(proto: ModelProto, without: tuple[str, ...]) -> float:
    """In dB, of 16 samples that calibration has not seen; on the library the same bits."""
    made = hexconv.convert(proto, samples=feeds("post", 8), without=without)
    simulator, held = Simulator(made, "v60"), feeds("post", 16, first=400)
    same_on_the_library(made, held[0])
    wanted = [float_outputs(proto, sample)[0].astype(np.float64) for sample in held]
    found = [simulator.run(sample)["y"] for sample in held]
    pairs = list(zip(wanted, found, strict=True))
    noise = sum(float(((want - got) ** 2).sum()) for want, got in pairs)
    return decibels(sum(float((want**2).sum()) for want in wanted), noise)


def test_a_post_norm_network_gains_on_samples_that_nothing_has_seen() -> None:
    proto = post_norm(0.0)
    assert sqnr(proto, ()) > sqnr(proto, (NAME,)) + 0.1
