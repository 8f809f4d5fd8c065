"""Relu and Clip are the end of the range of the node before them, and stay it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from tests.lowering.proof import ints, model, numbers, on_codes
from tests.lowering.test_matmul import weights
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "activation_into_range"
# Exactly representable, as the weights: what is left is one rounding per node.
FEEDS = {"x": on_codes((1, 8, 10, 12))}
STEPS = 1.6
CONSTS = {
    "w": weights(8, 8, 3, 3),
    "c": weights(8, 1, 1),
    "one": numbers((8,), 4),
    "lo": np.float32(-0.5),
    "hi": np.float32(0.75),
    "zero": np.float32(0),
    "six": np.float32(1.5),
    "axes": ints(2, 3),
    "variance": np.abs(numbers((8,), 5)) + 0.5,
    "high": np.float32(0.5),
}
PRODUCERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "Conv": (["x", "w"], {"pads": [1, 1, 1, 1]}),
    "ConvTranspose": (["x", "w"], {}),
    "Add": (["x", "c"], {}),
    "Sub": (["x", "c"], {}),
    "Mul": (["x", "c"], {}),
    "BatchNormalization": (["x", "one", "one", "one", "variance"], {}),
    "ReduceMean": (["x", "axes"], {}),
    "GlobalAveragePool": (["x"], {}),
}
BOUNDS = [["zero", "six"], ["lo", "hi"], ["zero", ""], ["", "hi"]]
RELU: tuple[str, list[str]] = ("Relu", ["p"])


def net(producer: str, then: tuple[str, list[str]] = RELU, *more: NodeProto) -> ModelProto:
    inputs, attrs = PRODUCERS[producer]
    nodes = [
        helper.make_node(producer, inputs, ["p"], **attrs),
        helper.make_node(then[0], then[1], ["y" if not more else "r"]),
        *more,
    ]
    return model(nodes, {"x": (1, 8, 10, 12)}, ["y"], CONSTS)


@pytest.mark.parametrize("producer", PRODUCERS)
def test_relu_costs_nothing(producer: str) -> None:
    on, off = better(net(producer), NAME, FEEDS, STEPS)
    assert sum(ops(on).values()) == sum(ops(off).values()) - 1
    assert ops(off)["QuantizedRelu_8"] == 1 and "QuantizedRelu_8" not in ops(on)


@pytest.mark.parametrize("producer", ["Conv", "Add", "ReduceMean"])
@pytest.mark.parametrize("bounds", BOUNDS)
def test_clips_around_zero_cost_nothing(producer: str, bounds: list[str]) -> None:
    on, _ = better(net(producer, ("Clip", ["p", *bounds])), NAME, FEEDS, STEPS)
    assert not {"QuantizedReluX_8", "QuantizedClamp_8"} & set(ops(on))


def test_a_clip_beside_zero_stays_a_node() -> None:
    """No range can begin above zero."""
    proto = net("Conv", ("Clip", ["p", "high", "six"]))
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and "QuantizedClamp_8" in ops(on)
    assert max(errors(on, proto, FEEDS)) <= STEPS


def test_an_input_that_others_read_keeps_its_negative_values() -> None:
    inputs, attrs = PRODUCERS["Conv"]
    nodes = [
        helper.make_node("Conv", inputs, ["p"], **attrs),
        helper.make_node("Relu", ["p"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 8, 10, 12)}, ["p", "y"], CONSTS)
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= STEPS


@pytest.mark.parametrize(
    "behind",
    [
        helper.make_node("Concat", ["r", "x"], ["y"], axis=1),
        helper.make_node("Pad", ["r", "pads", "minus"], ["y"]),
        helper.make_node("Softplus", ["r"], ["y"]),
        helper.make_node("Where", ["mask", "r", "x"], ["y"]),
    ],
    ids=lambda node: node.op_type,
)
def test_later_nodes_do_not_undo_it(behind: NodeProto) -> None:
    """A shared range that reaches below zero, or a table, would bring negative values back."""
    proto = net("Conv", RELU, behind)
    mask = np.arange(120).reshape(1, 1, 10, 12) % 2 == 0
    extra = {"pads": ints(0, 0, 1, 1, 0, 0, 0, 0), "minus": np.float32(-2), "mask": mask}
    proto = model(proto.graph.node, {"x": (1, 8, 10, 12)}, ["y"], {**CONSTS, **extra})
    on = converted(proto, FEEDS)
    assert applied(on)[NAME] == 1 and max(errors(on, proto, FEEDS)) <= STEPS


def test_a_given_range_does_not_undo_it() -> None:
    proto = net("Conv")
    ranges = {"x": (-4.0, 4.0), "p": (-4.0, 4.0), "y": (-4.0, 4.0)}
    on = hexconv.convert(proto, ranges=ranges)
    assert applied(on)[NAME] == 1
    assert float(hexconv.simulate(on, FEEDS)["y"].min()) == 0.0


def test_two_activations_are_both_honored() -> None:
    proto = net("Conv", RELU, helper.make_node("Clip", ["r", "lo", "hi"], ["y"]))
    on = converted(proto, FEEDS)
    assert applied(on)[NAME] == 2 and max(errors(on, proto, FEEDS)) <= STEPS


@pytest.mark.parametrize("node", ["GlobalAveragePool", "ReduceMean", "AveragePool"])
def test_the_mean_of_one_element_does_not_clip(node: str) -> None:
    """It is a reshape, which has the range of its input."""
    inputs, attrs = ["m"], {}
    if node == "ReduceMean":
        inputs, attrs = ["m", "axes"], {"keepdims": 0}
    elif node == "AveragePool":
        attrs = {"kernel_shape": [1, 1]}
    nodes = [
        helper.make_node("ReduceMax", ["x", "axes"], ["m"]),
        helper.make_node(node, inputs, ["p"], **attrs),
        helper.make_node("Clip", ["p", "lo", "high"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 8, 10, 12)}, ["y"], CONSTS)
    assert max(errors(hexconv.convert(proto, samples=[FEEDS]), proto, FEEDS)) <= STEPS
