"""GELU from products and a sigmoid."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.onnx_graph import load
from hexconv.optimize.fusions.gelu_by_sigmoid import gelu_by_sigmoid
from tests.lowering.proof import float_outputs, model, numbers
from tests.optimize.proof import converted, ops

NAME = "gelu_by_sigmoid"


def net(approximate: str) -> ModelProto:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Mul", ["t", "four"], ["m"]),
        helper.make_node("Gelu", ["m"], ["y"], approximate=approximate),
    ]
    return model(nodes, {"x": (1, 32, 64)}, ["y"], {"four": np.float32(4.0)}, opset=20)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_it_is_gelu_to_half_a_thousandth(approximate: str) -> None:
    graph, feeds = load(net(approximate)), {"x": numbers((1, 32, 64))}
    before = float_outputs(graph.to_proto(), feeds)[0]
    bounds = dict.fromkeys(graph.computed_values(), (-4.0, 4.0))
    assert gelu_by_sigmoid(graph, bounds) == 1
    assert set(graph.computed_values()) <= set(bounds)
    after = float_outputs(graph.to_proto(), feeds)[0]
    # 4 (1 - sigmoid(8)) = 0.0013 where the argument is clipped
    assert np.abs(after - before).max() < 0.0015


@pytest.mark.parametrize(("others", "low"), [((), -4.0), (("m",), -20.0), (("m", "y"), -20.0)])
def test_levels_below_what_gelu_returns_0_for_are_not_kept(
    others: tuple[str, ...], low: float
) -> None:
    """Unless something else reads them: an output, or another node."""
    proto = net("none")
    for name in others:
        if name == "y":
            proto.graph.node.append(helper.make_node("Relu", ["m"], ["r"]))
            proto.graph.output.append(helper.make_empty_tensor_value_info("r"))
        else:
            proto.graph.output.append(helper.make_empty_tensor_value_info(name))
    graph = load(proto)
    bounds = dict.fromkeys(graph.computed_values(), (-20.0, 6.0))
    gelu_by_sigmoid(graph, bounds)
    assert bounds["m"] == (low, 6.0)


def test_no_table_is_left_and_the_noise_hardly_grows() -> None:
    """The table rounds once, the nodes four times, most of them where the sigmoid is flat: 3 dB."""
    proto, feeds = net("none"), {"x": numbers((1, 32, 64))}
    on, off = converted(proto, feeds), converted(proto, feeds, without=(NAME,))
    assert "Table_8" in ops(off) and "Table_8" not in ops(on)
    wanted = float_outputs(proto, feeds)[0]
    noise = [np.std(hexconv.simulate(m, feeds, library="v60")["y"] - wanted) for m in (on, off)]
    assert noise[0] < noise[1] * 2**0.5


@pytest.mark.parametrize("loudest", [1.0, 30.0, 1e3, 1e5, 1e8])
@pytest.mark.parametrize("lowest", [-1.0, -0.03])
def test_it_is_as_accurate_as_the_table_however_large_its_input_is(
    loudest: float, lowest: float
) -> None:
    """x^3 of what is far beyond the sigmoid would leave no level for what is near it."""
    x = numbers((1, 16, 64))
    feeds = {"x": np.float32(loudest) * np.where(x < 0, -np.float32(lowest) * x, x)}
    proto = model([helper.make_node("Gelu", ["x"], ["y"])], {"x": x.shape}, ["y"], opset=20)
    wanted = float_outputs(proto, feeds)[0]
    on, off = converted(proto, feeds), converted(proto, feeds, without=(NAME,))
    noise = [np.std(hexconv.simulate(m, feeds, library="v60")["y"] - wanted) for m in (on, off)]
    assert noise[0] < noise[1] * 1.3
