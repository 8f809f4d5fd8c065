"""Consecutive functions of one variable are one table, exact to half an LSB."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.lowering.proof import model, numbers, on_codes
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "unary_chain"
FEEDS = {"x": on_codes((1, 5, 60))}
CONSTS = {"half": np.float32(0.5), "two": np.float32(2), "eps": np.float32(1e-3)}
TABLE = {"CastUInt8ToInt32": 1, "Requantize_8to8": 1, "Table_8": 1}  # the input is pinned

CHAINS = {
    "softplus written out": [("Exp", "v"), ("Add", "v two"), ("Log", "v")],
    "rsqrt": [("Mul", "v v"), ("Add", "v eps"), ("Sqrt", "v"), ("Reciprocal", "v")],
    "swapped": [("Abs", "v"), ("Sub", "two v"), ("Exp", "v")],
    "native ones inside": [("Tanh", "v"), ("Exp", "v"), ("Sigmoid", "v")],
    "activations inside": [("Add", "v half"), ("Relu", "v"), ("Exp", "v")],
    "powers": [("Abs", "v"), ("Pow", "v half"), ("Neg", "v")],
}


def net(steps: list[tuple[str, str]], outputs: tuple[str, ...] = ()) -> ModelProto:
    nodes, value = [], "x"
    for number, (op, inputs) in enumerate(steps):
        names = [value if name == "v" else name for name in inputs.split()]
        value = f"t{number}"
        nodes.append(helper.make_node(op, names, [value]))
    return model(nodes, {"x": (1, 5, 60)}, [*outputs, value], CONSTS)


@pytest.mark.parametrize(
    "name", ["softplus written out", "swapped", "activations inside", "powers"]
)
def test_a_chain_is_one_table(name: str) -> None:
    proto = net(CHAINS[name])
    on = converted(proto, FEEDS)
    assert ops(on) == TABLE and max(errors(on, proto, FEEDS)) <= 0.51


def test_native_ops_join_a_table_but_do_not_make_one() -> None:
    assert ops(converted(net(CHAINS["native ones inside"]), FEEDS)) == TABLE
    proto = net([("Tanh", "v"), ("Sigmoid", "v")])
    on = converted(proto, FEEDS)
    assert NAME not in applied(on)
    assert ops(on) == {"QuantizedTanh_8": 1, "QuantizedSigmoid_8": 1}


def test_the_root_of_a_layer_norm_is_one_table() -> None:
    """epsilon, root and reciprocal on the small tensor; the square is no function of one tensor."""
    proto = net(CHAINS["rsqrt"])
    on = converted(proto, FEEDS)
    assert applied(on)[NAME] == 1
    assert ops(on)["Table_8"] == 1 and ops(on)["QuantizedMul_8x8to8"] == 1


def test_without_it_there_is_a_node_for_each() -> None:
    proto = net(CHAINS["softplus written out"])
    on, off = better(proto, NAME, FEEDS, 130.0)
    assert ops(off)["Table_8"] == 2
    assert max(errors(on, proto, FEEDS)) < max(errors(off, proto, FEEDS))


def test_a_value_that_is_requested_ends_a_chain() -> None:
    proto = net([("Abs", "v"), ("Exp", "v"), ("Neg", "v")], outputs=("t1",))
    on = converted(proto, FEEDS)
    assert ops(on)["Table_8"] == 2 and max(errors(on, proto, FEEDS)) <= 1.01


def test_constants_that_broaden_a_tensor_are_no_function_of_it() -> None:
    nodes = [helper.make_node("Add", ["x", "c"], ["t"]), helper.make_node("Exp", ["t"], ["y"])]
    proto = model(nodes, {"x": (1, 1, 6)}, ["y"], {"c": np.full((4, 1), 0.5, np.float32)})
    feeds = {"x": numbers((1, 1, 6))}
    on = converted(proto, feeds)
    assert NAME not in applied(on) and on.graph.outputs[0].shape == (1, 4, 6)
