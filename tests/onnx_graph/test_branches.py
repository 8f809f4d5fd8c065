"""An If that data decide: both branches are computed, and one result is selected."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hexconv
from hexconv.errors import ModelError, UnsupportedOpError
from hexconv.onnx_graph import load
from tests.lowering.proof import (
    Array,
    float_outputs,
    ints,
    model,
    numbers,
    same_on_the_library,
    unsupported_op,
)

SHAPE = (1, 4, 8)
CONSTS = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "v": numbers((8, 8), 3),
    "w": numbers((8, 8), 4),
    "axes": ints(1),
}
POSITIVE = [
    helper.make_node("ReduceMean", ["x"], ["m"], name="mean", keepdims=0),
    helper.make_node("Greater", ["m", "zero"], ["c"], name="positive"),
]


def branch(*steps: str, constant: float | None = None) -> onnx.GraphProto:
    """A chain of nodes, written `Op input... -> output`; the last output is returned."""
    nodes = []
    for step in steps:
        (op, *inputs), (output,) = (side.split() for side in step.split("->"))
        nodes.append(helper.make_node(op, inputs, [output], name=f"n_{output}"))
    if constant is not None:
        nodes = [helper.make_node("Constant", [], ["k"], value_float=constant)]
    returned = helper.make_empty_tensor_value_info(nodes[-1].output[0])
    return helper.make_graph(nodes, "branch", [], [returned])


def decided(
    then: onnx.GraphProto, other: onnx.GraphProto, *after: onnx.NodeProto, condition: str = "c"
) -> onnx.ModelProto:
    choice = helper.make_node(
        "If", [condition], ["z" if after else "y"], "choice", then_branch=then, else_branch=other
    )
    return model([*POSITIVE, choice, *after], {"x": SHAPE}, ["y"], CONSTS, opset=18)


def loud(seed: int) -> dict[str, Array]:
    return {"x": numbers(SHAPE, seed) + np.float32(0.9)}


def low(seed: int) -> dict[str, Array]:
    return {"x": numbers(SHAPE, seed) - np.float32(0.9)}


NESTED = branch("Neg x -> b")
NESTED.node.insert(0, helper.make_node("Greater", ["m", "one"], ["c2"], name="above"))
NESTED.node[1].CopyFrom(
    helper.make_node(
        "If",
        ["c2"],
        ["b"],
        "inner",
        then_branch=branch("Exp x -> e"),
        else_branch=branch("Abs x -> f"),
    )
)
MODELS = {
    "products": decided(branch("MatMul x v -> a"), branch("MatMul x w -> b", "Relu b -> d")),
    "the input itself": decided(branch("Identity x -> a"), branch("Neg x -> b")),
    "numbers": decided(
        branch(constant=2.0),
        branch(constant=-1.0),
        helper.make_node("Mul", ["x", "z"], ["y"], name="scaled"),
    ),
    "a branch in a branch": decided(NESTED, branch("Neg x -> g")),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_the_branch_that_data_decide_is_selected(name: str) -> None:
    proto = MODELS[name]
    assert hexconv.check(proto).ok
    samples = [make(seed) for seed in range(4) for make in (loud, low)]
    converted = hexconv.convert(proto, samples=samples)
    assert "both branches are computed" in " ".join(converted.conversion.warnings)
    for feeds in (loud(20), low(21)):
        (expected,) = float_outputs(proto, feeds)
        result = hexconv.simulate(converted, feeds, library="v60")["y"]
        noise = float(np.square(result - expected).sum() / np.square(expected).sum())
        assert 10 * np.log10(noise) < -33
        same_on_the_library(converted, feeds)


def test_the_warning_names_the_node_and_what_is_computed() -> None:
    (warning,) = load(MODELS["products"]).branches
    assert "node 'choice' (If)" in warning and "(1 and 2 ONNX nodes)" in warning


def test_a_condition_of_one_element_of_any_rank() -> None:
    proto = MODELS["products"]
    kept = onnx.ModelProto()
    kept.CopyFrom(proto)
    kept.graph.node[0].attribute[0].i = 1
    graph = load(kept)
    assert graph.outputs[0].shape == SHAPE


def test_branches_of_other_shapes_are_an_error_and_can_be_cut_off() -> None:
    other = branch("ReduceMean x axes -> b")
    proto = decided(branch("Identity x -> a"), other)
    proto.graph.node.insert(0, helper.make_node("Mul", ["input", "one"], ["x"], name="front"))
    proto.graph.input[0].name = "input"
    text = unsupported_op(proto)
    assert "[1, 4, 8] and [1, 1, 8]" in text and "'choice'" in text
    assert hexconv.split(proto, "auto").cuts


def test_a_condition_that_is_an_input_is_bound() -> None:
    proto = decided(branch("Exp x -> a"), branch("Neg x -> b"), condition="flag")
    proto.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    with pytest.raises(ModelError) as caught:
        load(proto)
    assert "flag" in str(caught.value.hint)
    for flag, op in ((True, "Exp"), (False, "Neg")):
        converted = hexconv.convert(proto, constants={"flag": flag})
        assert op in converted.conversion.onnx_ops


def test_a_condition_of_several_elements_is_invalid() -> None:
    proto = decided(branch("Exp x -> a"), branch("Neg x -> b"), condition="many")
    many = helper.make_node("Greater", ["x", "zero"], ["many"], name="many")
    proto.graph.node.insert(0, many)
    with pytest.raises(ModelError, match=r"condition has shape \[1, 4, 8\]"):
        load(proto)


def test_a_loop_in_a_branch_is_unsupported() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["t"], ["u"]), helper.make_node("Relu", ["x"], ["r"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("t", TensorProto.BOOL, []),
        ],
        [helper.make_empty_tensor_value_info(name) for name in ("u", "r")],
    )
    then = branch("Neg x -> a")
    then.node[0].CopyFrom(helper.make_node("Loop", ["", "c"], ["a"], name="loop", body=body))
    with pytest.raises(UnsupportedOpError, match="a Loop with a condition that is computed"):
        load(decided(then, branch("Neg x -> b")))
