"""Compositions that exporters write become one op each, and return the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.onnx_graph.models import model, node, ops, same_outputs

CONSTS = {
    "last": np.array([-1], np.int64),
    "eps": 1e-5,
    "pow2": 2.0,
    "half": 0.5,
    "minus_half": -0.5,
    "one": 1.0,
    "gamma": np.linspace(0.5, 2, 6),
    "beta": np.linspace(-1, 1, 6),
}

CENTER = [node("ReduceMean", "x last", "mean"), node("Sub", "x mean", "d")]
SQUARES = {"pow": [node("Pow", "d pow2", "q")], "mul": [node("Mul", "d d", "q")]}
SPREAD = [node("ReduceMean", "q last", "var"), node("Add", "var eps", "ve")]
DIVISIONS = {
    "sqrt, div": [node("Sqrt", "ve", "std"), node("Div", "d std", "n")],
    "sqrt, reciprocal": [
        node("Sqrt", "ve", "std"),
        node("Reciprocal", "std", "r"),
        node("Mul", "r d", "n"),
    ],
    "1 / sqrt": [node("Sqrt", "ve", "std"), node("Div", "one std", "r"), node("Mul", "d r", "n")],
    "pow -1/2": [node("Pow", "ve minus_half", "r"), node("Mul", "d r", "n")],
    "pow 1/2": [node("Pow", "ve half", "std"), node("Div", "d std", "n")],
}
AFFINE = [node("Mul", "n gamma", "g"), node("Add", "beta g", "y")]


def layer_norm(square: str = "pow", division: str = "sqrt, div") -> list[onnx.NodeProto]:
    return [*CENTER, *SQUARES[square], *SPREAD, *DIVISIONS[division]]


@pytest.mark.parametrize("division", DIVISIONS)
@pytest.mark.parametrize("square", SQUARES)
def test_layer_norm_with_scale_and_bias(square: str, division: str) -> None:
    proto = model(
        [*layer_norm(square, division), *AFFINE], {"x": (2, 5, 6)}, consts=CONSTS, opset=18
    )
    graph = same_outputs(proto)
    assert ops(graph) == ["LayerNormalization"]
    assert graph.nodes[0].attributes["axis"].value == -1


def test_layer_norm_without_scale_and_bias_and_over_two_axes() -> None:
    nodes = [*layer_norm(), node("Relu", "n", "y")]
    consts = {**CONSTS, "last": np.array([-2, -1], np.int64)}
    graph = same_outputs(model(nodes, {"x": (2, 5, 6)}, consts=consts, opset=18))
    assert ops(graph) == ["LayerNormalization", "Relu"]


def test_layer_norm_whose_difference_is_computed_twice() -> None:
    nodes = [
        *CENTER,
        node("Sub", "x mean", "d2"),
        node("Pow", "d2 pow2", "q"),
        *SPREAD,
        *DIVISIONS["sqrt, div"],
        *AFFINE,
    ]
    proto = model(nodes, {"x": (2, 5, 6)}, consts=CONSTS, opset=18)
    assert ops(same_outputs(proto)) == ["LayerNormalization"]


def test_layer_norm_as_keras_writes_it() -> None:
    nodes = [
        *CENTER,
        *SQUARES["mul"],
        *SPREAD,
        node("Sqrt", "ve", "std"),
        node("Reciprocal", "std", "r"),
        node("Mul", "r gamma", "s"),
        node("Mul", "x s", "xs"),
        node("Mul", "mean s", "ms"),
        node("Sub", "beta ms", "o"),
        node("Add", "xs o", "y"),
    ]
    proto = model(nodes, {"x": (2, 5, 6)}, consts=CONSTS, opset=18)
    assert ops(same_outputs(proto)) == ["LayerNormalization"]


def test_layer_norm_stays_as_exported_on_request() -> None:
    proto = model([*layer_norm(), *AFFINE], {"x": (2, 5, 6)}, consts=CONSTS, opset=18)
    kept = ops(same_outputs(proto, recognize=False))
    assert kept == [item.op_type for item in proto.graph.node]


@pytest.mark.parametrize("watched", ["d", "var", "std"])
def test_layer_norm_of_which_something_else_is_read_stays(watched: str) -> None:
    proto = model([*layer_norm(), *AFFINE], {"x": (2, 5, 6)}, ["y", watched], CONSTS, opset=18)
    assert "LayerNormalization" not in ops(same_outputs(proto))


def test_a_norm_over_a_leading_axis_is_no_layer_norm() -> None:
    proto = model(
        [*layer_norm(), *AFFINE],
        {"x": (2, 5, 6)},
        consts={**CONSTS, "last": np.array([1], np.int64)},
        opset=18,
    )
    assert "LayerNormalization" not in ops(same_outputs(proto))


def test_rms_norm() -> None:
    nodes = [
        node("Pow", "x pow2", "q"),
        *SPREAD,
        node("Sqrt", "ve", "std"),
        node("Reciprocal", "std", "r"),
        node("Mul", "x r", "n"),
        node("Mul", "gamma n", "y"),
    ]
    proto = model(nodes, {"x": (2, 5, 6)}, consts=CONSTS, opset=18)
    assert ops(same_outputs(proto)) == ["RMSNormalization"]


ERF = [node("Div", "x root2", "s"), node("Erf", "s", "e"), node("Add", "e one", "p")]
TANH = [
    node("Pow", "x three", "c"),
    node("Mul", "c cubic", "cc"),
    node("Add", "x cc", "t"),
    node("Mul", "t root2pi", "u"),
    node("Tanh", "u", "e"),
    node("Add", "one e", "p"),
]
TANH_FACTORED = [
    node("Mul", "x x", "xx"),
    node("Mul", "xx cubic", "c"),
    node("Add", "c one", "t"),
    node("Mul", "x root2pi", "k"),
    node("Mul", "k t", "u"),
    node("Tanh", "u", "e"),
    node("Add", "e one", "p"),
]
ORDERS = [
    [node("Mul", "x p", "m"), node("Mul", "m half", "y")],
    [node("Mul", "x half", "m"), node("Mul", "m p", "y")],
    [node("Mul", "p half", "m"), node("Mul", "m x", "y")],
    [node("Mul", "x p", "m"), node("Div", "m two", "y")],
]
GELU = {
    "root2": 2**0.5,
    "one": 1.0,
    "half": 0.5,
    "two": 2.0,
    "three": 3.0,
    "cubic": 0.044715,
    "root2pi": (2 / np.pi) ** 0.5,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("curve", [ERF, TANH, TANH_FACTORED])
def test_gelu(curve: list[onnx.NodeProto], order: list[onnx.NodeProto]) -> None:
    graph = same_outputs(model([*curve, *order], {"x": (3, 7)}, consts=GELU), tolerance=1e-4)
    assert ops(graph) == ["Gelu"]
    kind = graph.nodes[0].attributes["approximate"].value
    assert kind == ("none" if curve is ERF else "tanh")


UNARY = {
    "SiLU": ([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], ["Swish"]),
    "Swish of 1.702": (
        [node("Mul", "x a", "k"), node("Sigmoid", "k", "s"), node("Mul", "s x", "y")],
        ["Swish"],
    ),
    "a gate": (
        [node("Neg", "x", "n"), node("Sigmoid", "n", "s"), node("Mul", "x s", "y")],
        ["Neg", "Sigmoid", "Mul"],
    ),
    "1 / (1 + exp -x)": (
        [
            node("Neg", "x", "n"),
            node("Exp", "n", "e"),
            node("Add", "e one", "p"),
            node("Div", "one p", "y"),
        ],
        ["Sigmoid"],
    ),
    "x / (1 + exp -x)": (
        [
            node("Neg", "x", "n"),
            node("Exp", "n", "e"),
            node("Add", "e one", "p"),
            node("Div", "x p", "y"),
        ],
        ["Swish"],
    ),
    "HardSwish": (
        [
            node("Add", "x three", "p"),
            node("Clip", "p zero six", "c"),
            node("Mul", "x c", "m"),
            node("Div", "m six", "y"),
        ],
        ["HardSwish"],
    ),
    "HardSwish of HardSigmoid": (
        [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "h x", "y")],
        ["HardSwish"],
    ),
    "HardSigmoid": (
        [node("Add", "x three", "p"), node("Clip", "p zero six", "c"), node("Div", "c six", "y")],
        ["HardSigmoid"],
    ),
    "Softplus": (
        [node("Exp", "x", "e"), node("Add", "e one", "p"), node("Log", "p", "y")],
        ["Softplus"],
    ),
    "Mish": (
        [node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")],
        ["Mish"],
    ),
}


@pytest.mark.parametrize("name", UNARY)
def test_activations(name: str) -> None:
    nodes, wanted = UNARY[name]
    consts = {"a": 1.702, "one": 1.0, "three": 3.0, "six": 6.0, "zero": 0.0}
    assert ops(same_outputs(model(nodes, {"x": (3, 7)}, consts=consts), tolerance=1e-4)) == wanted


def test_the_result_keeps_its_name() -> None:
    nodes = [
        node("Sigmoid", "x", "s"),
        node("Mul", "x s", "act/silu:0"),
        node("Neg", "act/silu:0", "y"),
    ]
    graph = same_outputs(model(nodes, {"x": (3, 7)}))
    assert graph.nodes[0].outputs[0].name == "act/silu:0"
    assert graph.recognized == {"swish_from_sigmoid": 1}


def test_bias_after_a_matmul_stays_an_add() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
    consts = {"w": np.ones((7, 4)), "b": np.arange(4.0)}
    assert ops(same_outputs(model(nodes, {"x": (3, 7)}, consts=consts))) == ["MatMul", "Add"]
