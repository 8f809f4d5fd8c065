"""LeakyRelu and PRelu that never fall go behind the maximum pool that reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from hexconv.cost import predict
from hexconv.onnx_graph import FloatGraph
from tests.lowering.proof import model, numbers, same_on_the_library
from tests.optimize.proof import applied, converted, errors, rewritten

NAME = "activation_behind_pool"
CHANNELS = 8
SHAPE = (1, 3, 20, 20)
FEEDS = {"x": numbers(SHAPE)}
CONSTS = {
    "w": numbers((CHANNELS, 3, 3, 3), 1),
    "own": np.linspace(0.0, 0.5, CHANNELS, dtype=np.float32).reshape(CHANNELS, 1, 1),
    "one": np.float32([0.2]),
    "falls": np.linspace(-0.1, 0.5, CHANNELS, dtype=np.float32).reshape(CHANNELS, 1, 1),
    "places": np.linspace(0.0, 0.5, 20, dtype=np.float32),
}
LEAKY: tuple[str, dict[str, Any], list[str]] = ("LeakyRelu", {"alpha": 0.1}, [])
WINDOW = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def net(
    op: str = LEAKY[0],
    attributes: dict[str, Any] = LEAKY[1],
    more: list[str] = LEAKY[2],
    *behind: NodeProto,
    outputs: tuple[str, ...] = ("y",),
) -> ModelProto:
    """A convolution, an activation 'a', and what reads it: a pool that returns 'y' by default."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node(op, ["c", *more], ["a"], name="activation", **attributes),
        *(behind or (helper.make_node("MaxPool", ["a"], ["y"], **WINDOW),)),
    ]
    return model(nodes, {"x": SHAPE}, list(outputs), CONSTS)


def order(graph: FloatGraph) -> list[str]:
    return [node.op_type for node in graph.nodes]


@pytest.mark.parametrize(
    ("op", "attributes", "more"),
    [
        LEAKY,
        ("LeakyRelu", {}, []),
        ("PRelu", {}, ["own"]),
        ("PRelu", {}, ["one"]),
    ],
)
def test_the_float_graph_returns_the_same(
    op: str, attributes: dict[str, Any], more: list[str]
) -> None:
    graph, count = rewritten(net(op, attributes, more), NAME, FEEDS)
    assert count == 1
    assert order(graph) == ["Conv", "MaxPool", op]
    assert [str(value.name) for value in graph.graph.outputs] == ["y"]
    assert graph.nodes[2].name == "activation"


def test_it_goes_behind_all_pools_that_follow_each_other() -> None:
    pools = (
        helper.make_node("MaxPool", ["a"], ["p"], **WINDOW),
        helper.make_node("GlobalMaxPool", ["p"], ["g"]),
        helper.make_node("Neg", ["g"], ["y"]),
    )
    graph, count = rewritten(net(*LEAKY, *pools), NAME, FEEDS)
    assert count == 2
    assert order(graph) == ["Conv", "MaxPool", "GlobalMaxPool", "LeakyRelu", "Neg"]


@pytest.mark.parametrize(
    ("op", "attributes", "more"),
    [
        ("LeakyRelu", {"alpha": -0.1}, []),
        ("PRelu", {}, ["falls"]),
        ("PRelu", {}, ["places"]),
        ("Sigmoid", {}, []),
    ],
)
def test_what_falls_differs_by_place_or_is_no_leaky_relu_stays(
    op: str, attributes: dict[str, Any], more: list[str]
) -> None:
    assert rewritten(net(op, attributes, more), NAME, FEEDS)[1] == 0


@pytest.mark.parametrize(
    ("behind", "outputs"),
    [
        ([helper.make_node("AveragePool", ["a"], ["y"], kernel_shape=[2, 2])], ("y",)),
        ([helper.make_node("MaxPool", ["a"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)], ("y",)),
        ([helper.make_node("MaxPool", ["a"], ["y"], **WINDOW)], ("y", "a")),
        (
            [
                helper.make_node("MaxPool", ["a"], ["y"], **WINDOW),
                helper.make_node("Neg", ["a"], ["z"]),
            ],
            ("y", "z"),
        ),
    ],
    ids=["another pool", "a pool of as many elements", "an output of the model", "another reader"],
)
def test_what_else_needs_it_keeps_it(behind: list[NodeProto], outputs: tuple[str, ...]) -> None:
    assert rewritten(net(*LEAKY, *behind, outputs=outputs), NAME, FEEDS)[1] == 0


def test_on_the_dsp_it_is_as_right_for_fewer_packets() -> None:
    made, plain = converted(net(), FEEDS), converted(net(), FEEDS, without=(NAME,))
    assert applied(made)[NAME] == 1
    assert predict(made, "v66").packets < predict(plain, "v66").packets
    assert errors(made, net(), FEEDS)[0] <= errors(plain, net(), FEEDS)[0] + 0.5
    same_on_the_library(made, FEEDS)
