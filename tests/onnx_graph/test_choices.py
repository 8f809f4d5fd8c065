"""An attribute that takes one of a few values is an error at its node with any other."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper
from onnx.defs import OpSchema

import hexconv
from hexconv.errors import ModelError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.choices import FLAGS, GATES, WORDS
from hexconv.onnx_graph.read import whole_model

FREE = {
    *("Constant.value_string", "Constant.value_strings", "Einsum.equation"),
    *("RegexFullMatch.pattern", "StringNormalizer.locale", "StringNormalizer.stopwords"),
    *("StringSplit.delimiter", "TfIdfVectorizer.pool_strings", "Cast.to"),
}
"""Attributes that hold any text (signatures check an equation), and a type of before opset 7."""

RUNTIME = {"QLinearAveragePool", "FusedConv"}
"""Ops of ONNX Runtime."""

SCHEMAS = [s for s in onnx.defs.get_all_schemas_with_history() if not s.domain]
LATEST = {s.name: s for s in sorted(SCHEMAS, key=lambda s: s.since_version) if s.since_version < 29}
HERE = {(s.name, name) for s in SCHEMAS for name in s.attributes}
WORDED = [
    (op, name)
    for name, words in WORDS.items()
    for op in words
    if (op, name) in HERE or op in RUNTIME  # onnx 1.22 has no mode of SpaceToDepth
]
FLAGGED = sorted({(s.name, name) for s in SCHEMAS for name in s.attributes if name in FLAGS})
TEXT = (OpSchema.AttrType.STRING, OpSchema.AttrType.STRINGS)


def model(op: str, **attributes: Any) -> onnx.ModelProto:
    """One node with as many inputs and outputs as its op has at least."""
    schema = LATEST.get(op)
    opset = schema.since_version if schema is not None else 17
    if schema is not None and not set(attributes) <= set(schema.attributes):
        schema = next(s for s in SCHEMAS if s.name == op and set(attributes) <= set(s.attributes))
        opset = max(schema.since_version, 7)
    needed = schema.attributes.values() if schema is not None else ()
    given = {a.name: placeholder(a) for a in needed if a.required} | attributes
    inputs = ["x"] * (schema.min_input if schema is not None else 1)
    outputs = ["y", *(f"y{i}" for i in range(1, schema.min_output if schema is not None else 1))]
    domain = "com.microsoft" if op in RUNTIME else ""
    node = helper.make_node(op, inputs, outputs, "n", domain=domain, **given)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4, 4])],
        [helper.make_empty_tensor_value_info("y")],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def placeholder(attribute: OpSchema.Attribute) -> Any:
    kinds = OpSchema.AttrType
    return {kinds.INT: 1, kinds.INTS: [1, 1], kinds.STRING: "NONE", kinds.STRINGS: ["NONE"]}.get(
        attribute.type, 1.0
    )


def given(op: str, name: str, value: str) -> dict[str, Any]:
    """A list of as many words as the op has, the last of them `value`."""
    if name != "activations":
        return {name: value}
    return {name: [*["Tanh"] * (GATES[op] - 1), value]}


@pytest.mark.parametrize(("op", "name"), WORDED)
def test_a_word_that_an_op_does_not_know_is_an_error_with_those_it_knows(
    op: str, name: str
) -> None:
    allowed = WORDS[name][op]
    known = re.escape(", ".join(word for word in allowed if word))
    for wrong in ("FOO", allowed[0].swapcase(), allowed[0] + " "):
        why = rf"node 'n' \({op}\)\n  why: {name} is {wrong!r}, must be one of {known}"
        for read in (load, whole_model):
            with pytest.raises(ModelError, match=why):
                read(model(op, **given(op, name, wrong)))


@pytest.mark.parametrize(("op", "name"), FLAGGED)
def test_a_flag_is_0_or_1(op: str, name: str) -> None:
    for number in (2, -1, 2**40):
        why = rf"'n' \({op}\)\n  why: {name} is {number}, must be one of 0, 1"
        with pytest.raises(ModelError, match=why):
            load(model(op, **{name: number}))


@pytest.mark.parametrize(("op", "name"), WORDED)
def test_every_word_of_the_table_is_taken(op: str, name: str) -> None:
    for word in WORDS[name][op]:
        try:
            load(model(op, **given(op, name, word)))
        except hexconv.errors.HexconvError as error:
            assert "must be one of" not in str(error)


def test_the_table_knows_every_attribute_of_texts() -> None:
    named = {
        (schema.name, name)
        for schema in SCHEMAS
        for name, attribute in schema.attributes.items()
        if attribute.type in TEXT and f"{schema.name}.{name}" not in FREE
    }
    assert named <= set(WORDED)


@pytest.mark.parametrize(("op", "name"), [pair for pair in WORDED if pair[0] not in RUNTIME])
def test_the_words_are_those_of_the_documentation_of_onnx(op: str, name: str) -> None:
    texts = [
        s.doc + s.attributes[name].description
        for s in SCHEMAS
        if s.name == op and name in s.attributes
    ]
    written = set(re.findall(r"\w+", " ".join(texts)))
    assert {word for word in WORDS[name][op] if word} <= written


@pytest.mark.parametrize(
    ("op", "direction", "count", "needed"),
    [("RNN", "forward", 2, 1), ("GRU", "reverse", 1, 2), ("LSTM", "bidirectional", 3, 6)],
)
def test_a_recurrent_op_has_an_activation_for_each_gate(
    op: str, direction: str, count: int, needed: int
) -> None:
    made = model(op, direction=direction, activations=["Tanh"] * count)
    with pytest.raises(ModelError, match=f"activations has {count} names, must have {needed}"):
        load(made)


@pytest.mark.parametrize("number", [0, 99, -1, 2**31])
def test_an_element_type_that_there_is_not_is_an_error_with_those_there_are(number: int) -> None:
    last = max(TensorProto.DataType.values())
    why = (
        rf"'n' \(Cast\), attribute 'to'\n  why: ONNX has no element type {number}, only 1 to {last}"
    )
    with pytest.raises(ModelError, match=why):
        load(model("Cast", to=number))


def test_a_word_that_a_caller_passes_to_a_function_is_checked_too() -> None:
    inner = helper.make_node("Gelu", ["a"], ["b"], "n")
    inner.attribute.add(name="approximate", ref_attr_name="how", type=AttributeProto.STRING)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "F", ["a"], ["b"], [inner], imports, ["how"])
    made = model("Gelu")
    made.opset_import[0].version = 20
    made.opset_import.append(imports[1])
    made.graph.node[0].CopyFrom(helper.make_node("F", ["x"], ["y"], domain="own", how="erf"))
    made.functions.append(function)
    with pytest.raises(ModelError, match=r"approximate is 'erf', must be one of none, tanh"):
        load(made)


@pytest.mark.parametrize("call", [hexconv.check, hexconv.convert])
def test_check_and_convert_say_the_same(call: Any) -> None:
    with pytest.raises(ModelError, match="mode is 'foo', must be one of linear, nearest, cubic"):
        call(model("GridSample", mode="foo"))


def test_an_empty_auto_pad_is_none() -> None:
    made = model("MaxPool", kernel_shape=[2, 2], auto_pad="")
    assert np.prod(load(made).outputs[0].shape) == 36
