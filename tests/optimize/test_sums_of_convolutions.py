"""Convolutions that are added up are one, and long sums are a convolution of width 1."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from hexconv.onnx_graph import FloatGraph
from hexconv.optimize.on_float.same_convolution import Kernel, added, stacked
from tests.lowering.proof import decibels, model, numbers, same_on_the_library
from tests.optimize.proof import better, converted, errors, rewritten

NAME, STACKS = "sums_of_convolutions", "convolutions_of_one_input"
CHANNELS, LENGTH = 32, 1024


def block(x: str, name: str, taps: int, dilations: tuple[int, int]) -> list[NodeProto]:
    """Consecutive residual convolutions: y = x + conv(l(x))."""
    nodes, value = [], x
    for step, dilation in enumerate(dilations):
        at = f"{name}{step}"
        pad = (taps - 1) * dilation // 2
        nodes += [
            helper.make_node("LeakyRelu", [value], [f"{at}l"], alpha=0.1),
            helper.make_node(
                "Conv", [f"{at}l", f"{at}w"], [f"{at}c"], dilations=[dilation], pads=[pad, pad]
            ),
            helper.make_node("Add", [f"{at}c", value], [f"{at}y"]),
        ]
        value = f"{at}y"
    return nodes


def stage(kinds: dict[int, tuple[int, int]], length: int = LENGTH) -> ModelProto:
    """Residual blocks side by side, as in HiFi-GAN's smaller generators: taps and dilations."""
    consts = {"v": numbers((CHANNELS, CHANNELS, 1), 9) / 6}
    nodes = [helper.make_node("Conv", ["x", "v"], ["s"])]
    for taps, dilations in kinds.items():
        for step in range(2):
            weights = numbers((CHANNELS, CHANNELS, taps), taps + step)
            consts[f"b{taps}{step}w"] = weights / (CHANNELS * taps) ** 0.5
        nodes += block("s", f"b{taps}", taps, dilations)
    total = f"b{next(iter(kinds))}1y"
    for taps in list(kinds)[1:]:
        nodes.append(helper.make_node("Add", [total, f"b{taps}1y"], [f"t{taps}"]))
        total = f"t{taps}"
    nodes.append(helper.make_node("LeakyRelu", [total], ["y"], alpha=0.1))
    return model(nodes, {"x": (1, CHANNELS, length)}, ["y"], consts)


V3 = {3: (1, 2), 5: (2, 6), 7: (3, 12)}
FEEDS = {"x": numbers((1, CHANNELS, LENGTH))}


def ops(graph: FloatGraph) -> dict[str, int]:
    names = [node.op_type for node in graph.nodes]
    return {name: names.count(name) for name in names}


def test_a_stage_of_blocks_returns_the_same() -> None:
    graph, count = rewritten(stage(V3), NAME, FEEDS)
    after = ops(graph)
    assert count == 1 and after["Concat"] >= 1 and after["Add"] < 8


def test_a_stage_converted_computes_the_same_as_before() -> None:
    on, off = better(stage(V3), NAME, FEEDS, 6.0)
    assert len(on.graph.nodes) < len(off.graph.nodes)
    same_on_the_library(on, FEEDS)


def test_convolutions_of_one_input_are_added_as_kernels() -> None:
    """Two convolutions of the same tensor need no Concat."""
    consts = {"a": numbers((32, 32, 3), 1) / 9, "b": numbers((32, 32, 5), 2) / 9}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], pads=[1, 1]),
        helper.make_node("Conv", ["x", "b"], ["d"], pads=[2, 2]),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    graph, count = rewritten(model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y"], consts), NAME, FEEDS)
    assert count == 1 and ops(graph) == {"Conv": 1}


@pytest.mark.parametrize("change", [{"pads": [2, 0]}, {"pads": [1, 1], "group": 2}])
def test_causal_and_grouped_ones_are_left_alone(change: dict[str, object]) -> None:
    inputs = 16 if "group" in change else 32
    consts = {"a": numbers((32, inputs, 3), 1) / 9, "b": numbers((32, inputs, 3), 2) / 9}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], **change),
        helper.make_node("Conv", ["x", "b"], ["d"], **change),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    assert rewritten(model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y"], consts), NAME, FEEDS)[1] == 0


def test_weights_of_other_sizes_stay_apart() -> None:
    """In one range the smaller ones would lose bits."""
    consts = {"a": numbers((32, 32, 3), 1), "b": numbers((32, 32, 3), 2) / 9}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], pads=[1, 1]),
        helper.make_node("Conv", ["x", "b"], ["d"], pads=[1, 1]),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    assert rewritten(model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y"], consts), NAME, FEEDS)[1] == 0


def test_what_others_read_stays() -> None:
    """A convolution that is also an output is no part of a larger one."""
    consts = {"a": numbers((32, 32, 3), 1) / 9, "b": numbers((32, 32, 3), 2) / 9}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], pads=[1, 1]),
        helper.make_node("Conv", ["x", "b"], ["d"], pads=[1, 1]),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y", "d"], consts)
    graph, count = rewritten(proto, NAME, FEEDS)
    assert count == 0 and ops(graph)["Conv"] == 2


def side_by_side(residual: bool) -> ModelProto:
    """Two convolutions of one input, residuals around them, and a Concat."""
    consts = {"a": numbers((32, 32, 5), 1) / 9, "b": numbers((32, 32, 3), 2) / 9}
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["l"]),
        helper.make_node("Conv", ["l", "a"], ["c"], pads=[4, 4], dilations=[2]),
        helper.make_node("Conv", ["l", "b"], ["d"], pads=[3, 3], dilations=[3]),
    ]
    parts = ["c", "d"]
    if residual:
        nodes += [helper.make_node("Add", [part, "x"], [f"{part}y"]) for part in parts]
        parts = [f"{part}y" for part in parts]
    nodes.append(helper.make_node("Concat", parts, ["y"], axis=1))
    return model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y"], consts)


@pytest.mark.parametrize("residual", [False, True])
def test_one_input_needs_one_convolution(residual: bool) -> None:
    graph, count = rewritten(side_by_side(residual), STACKS, FEEDS)
    assert count == 1 and ops(graph)["Conv"] == 1


def test_one_convolution_computes_the_same_as_two_did() -> None:
    on, _ = better(side_by_side(True), STACKS, FEEDS, 3.0)
    same_on_the_library(on, FEEDS)


def test_long_signals_are_not_worth_zeros_between_the_taps() -> None:
    """Where dilations differ, one kernel for both multiplies by zero: the nodes are cheaper."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"], pads=[3, 3]),
        helper.make_node("Conv", ["x", "b"], ["d"], pads=[12, 12], dilations=[12]),
        helper.make_node("Concat", ["c", "d"], ["y"], axis=1),
    ]
    consts = {"a": numbers((32, 32, 7), 1) / 9, "b": numbers((32, 32, 3), 2) / 9}
    proto = model(nodes, {"x": (1, 32, 8192)}, ["y"], consts)
    assert rewritten(proto, STACKS, {"x": numbers((1, 32, 8192))})[1] == 0


def plain(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    """The convolution itself in float64: (C,T) to (O,T)."""
    outputs, _, taps = kernel.weights.shape
    result = np.repeat(kernel.bias[:, None].astype(float), x.shape[1], 1)
    padded = np.pad(x, ((0, 0), (kernel.reach[0],) * 2))
    for tap in range(taps):
        at = tap * kernel.dilation[0]
        result += kernel.weights[:, :, tap].astype(float) @ padded[:, at : at + x.shape[1]]
    return result.reshape(outputs, -1)


@pytest.mark.parametrize("pair", list(pairwise([(3, 1), (5, 6), (7, 12), (1, 1), (3, 4)])))
def test_joined_kernels_are_the_same_products(pair: tuple[tuple[int, int], ...]) -> None:
    kernels = [
        Kernel(numbers((4, 3, taps), taps), numbers((4,), taps), (dilation,))
        for taps, dilation in pair
    ]
    one, other = numbers((3, 40), 7), numbers((3, 40), 8)
    whole = added(kernels, [0, 1])
    wanted = plain(kernels[0], one) + plain(kernels[1], other)
    np.testing.assert_allclose(plain(whole, np.concatenate([one, other])), wanted, atol=1e-4)
    both = np.concatenate([plain(kernel, one) for kernel in kernels])
    np.testing.assert_allclose(plain(stacked(kernels), one), both, atol=1e-4)


def test_a_concat_of_what_others_read_needs_no_requantize() -> None:
    """Its range is hardly wider than theirs."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"]),
        helper.make_node("Conv", ["x", "b"], ["d"]),
        helper.make_node("Concat", ["c", "d"], ["j"], axis=1),
        helper.make_node("LeakyRelu", ["c"], ["z"]),
        helper.make_node("LeakyRelu", ["j"], ["y"]),
    ]
    consts = {"a": numbers((32, 32, 1), 1) / 6.6, "b": numbers((32, 32, 1), 2) / 6}
    proto = model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y", "z"], consts)
    on = converted(proto, FEEDS, without=("requantize_in_concat",))
    assert "Requantize_8to8" not in on.graph.histogram()
    assert max(errors(on, proto, FEEDS)) <= 6.0


def test_a_relu_keeps_its_range() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["x", "b"], ["d"]),
        helper.make_node("Concat", ["r", "d"], ["y"], axis=1),
        helper.make_node("LeakyRelu", ["r"], ["z"]),
    ]
    consts = {"a": numbers((32, 32, 1), 1), "b": numbers((32, 32, 1), 2) / 40}
    proto = model(nodes, {"x": (1, CHANNELS, LENGTH)}, ["y", "z"], consts)
    on = converted(proto, FEEDS)
    assert hexconv.simulate(on, FEEDS, library="v60")["z"].min() >= 0


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("axes", [1, 2])
def test_a_tensor_that_is_added_twice_is_there_twice(times: int, axes: int) -> None:
    """Two residual blocks that meet: x + conv(x) + x + conv(x)."""
    taps = (3,) * axes
    nodes, total = [], "x"
    for number in range(times):
        name = f"c{number}"
        nodes.append(helper.make_node("Conv", ["x", f"w{number}"], [name], pads=[1] * 2 * axes))
        for other in [name, *(["x"] if number else [])]:
            nodes.append(helper.make_node("Add", [total, other], [f"{name}{other}"]))
            total = f"{name}{other}"
    nodes[-1].output[0] = "y"
    consts = {f"w{n}": 0.2 * numbers((8, 8, *taps), n) for n in range(times)}
    shape = (1, 8, 24) if axes == 1 else (1, 8, 6, 5)
    proto, feeds = model(nodes, {"x": shape}, ["y"], consts), {"x": numbers(shape)}
    rewritten(proto, NAME, feeds)
    assert decibels(proto, [feeds]) > 35.0
