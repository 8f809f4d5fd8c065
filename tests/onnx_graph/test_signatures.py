"""A node that has not the inputs, outputs and attributes of its op is an error when it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from hexconv.errors import ModelError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.read import whole_model

IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def model(*nodes: onnx.NodeProto, functions: Any = (), **constants: Any) -> onnx.ModelProto:
    """x of (1, 4) to y of (1, 4)."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=IMPORTS, functions=functions, ir_version=8)


def node(op: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> Any:
    return helper.make_node(op, inputs, ["y"] if outputs is None else outputs, "n", **attributes)


FAULTS = {
    "no input": (node("Flatten", []), "0 input tensors, its op has at least 1"),
    "too few": (node("Add", ["x"]), "1 input tensors, its op has at least 2"),
    "too many": (node("Relu", ["x", "x"]), "2 input tensors, its op has at most 1"),
    "one left out": (node("Add", ["", "x"]), "number 0 of its input tensors is left out"),
    "no output": (node("Relu", ["x"], []), "0 output tensors, its op has at least 1"),
    "two outputs": (node("Relu", ["x"], ["y", "z"]), "2 output tensors, its op has at most 1"),
    "no attribute": (node("Cast", ["x"]), "no attribute 'to'"),
    "a text": (node("Cast", ["x"], to="float"), "'to' is of type STRING, not INT"),
    "several": (node("Cast", ["x"], to=[1]), "'to' is of type INTS, not INT"),
    "one of several": (node("Transpose", ["x"], perm=0), "'perm' is of type INT, not INTS"),
    "a float": (node("Softmax", ["x"], axis=1.0), "'axis' is of type FLOAT, not INT"),
}


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.parametrize("read", [load, whole_model], ids=["load", "whole_model"])
def test_a_node_has_what_its_op_has(case: str, read: Any) -> None:
    made, why = FAULTS[case]
    with pytest.raises(ModelError, match=rf"node 'n' \({made.op_type}\)\n  why: .*{why}"):
        read(model(made))


def test_an_attribute_is_given_once() -> None:
    made = node("Softmax", ["x"], axis=1)
    made.attribute.append(helper.make_attribute("axis", 0))
    with pytest.raises(ModelError, match="attribute 'axis' is given twice"):
        load(model(made))


def test_a_node_without_a_name_is_named_by_its_output() -> None:
    with pytest.raises(ModelError, match=r"node 'y' \(Flatten\)"):
        load(model(helper.make_node("Flatten", [], ["y"])))


def test_nodes_of_branches_are_checked_too() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", [], ["r"], "inner")],
        "b",
        [],
        [helper.make_empty_tensor_value_info("r")],
    )
    with pytest.raises(ModelError, match=r"'inner' \(Relu\)\n  why: it has 0 input tensors"):
        load(model(node("If", ["yes"], then_branch=body, else_branch=body), yes=np.array(True)))


def function(*nodes: onnx.NodeProto, attributes: Any = ()) -> onnx.FunctionProto:
    made: onnx.FunctionProto = helper.make_function(
        "own", "F", ["a"], ["b"], list(nodes), IMPORTS, attributes
    )
    return made


def test_nodes_of_functions_are_checked_too() -> None:
    made = function(helper.make_node("Add", ["a"], ["b"], "inner"))
    with pytest.raises(ModelError, match=r"'inner' \(Add\)\n  why: it has 1 input tensors"):
        load(model(node("F", ["x"], domain="own"), functions=[made]))


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"),
    [
        (["x", "x"], ["y"], "2 input tensors, its op has at most 1"),
        (["x"], ["y", "z"], "2 output tensors, its op has at most 1"),
    ],
)
def test_a_call_has_no_more_than_its_function(
    inputs: list[str], outputs: list[str], why: str
) -> None:
    made = function(helper.make_node("Relu", ["a"], ["b"]))
    with pytest.raises(ModelError, match=rf"'n' \(F\)\n  why: it has {why}"):
        load(model(node("F", inputs, outputs, domain="own"), functions=[made]))


@pytest.mark.parametrize("version", [0, -1, 10_000, 2**40])
def test_a_function_imports_an_opset_that_there_is(version: int) -> None:
    made = function(helper.make_node("Relu", ["a"], ["b"]))
    made.opset_import[0].version = version
    with pytest.raises(ModelError, match=f"function 'F'\n  why: ONNX has no opset {version}"):
        load(model(node("F", ["x"], domain="own"), functions=[made]))


@pytest.mark.parametrize(("given", "fits"), [(1, True), ("float", False)])
def test_what_a_caller_passes_to_a_function_fits_the_op_that_reads_it(
    given: Any, fits: bool
) -> None:
    cast = helper.make_node("Cast", ["a"], ["b"], "cast")
    cast.attribute.add(name="to", ref_attr_name="kind", type=AttributeProto.INT)
    made = model(
        node("F", ["x"], domain="own", kind=given), functions=[function(cast, attributes=["kind"])]
    )
    if fits:
        assert load(made).outputs
        return
    with pytest.raises(ModelError, match="attribute 'to' is of type STRING, not INT"):
        load(made)


@pytest.mark.parametrize("kind", [onnx.TypeProto(), helper.make_tensor_type_proto(0, [1, 4])])
def test_an_input_declares_its_element_type(kind: onnx.TypeProto) -> None:
    made = model(node("Relu", ["x"]))
    made.graph.input[0].type.CopyFrom(kind)
    with pytest.raises(ModelError, match="input 'x'\n  why: it declares no element type"):
        load(made, {"x": (1, 4)})
