"""Whether nodes have the inputs, outputs and attributes that their ops have.

Checked of every node right after a file is parsed: nothing after that meets a node without the
operands that its op always has, or a text where a number belongs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnx
import onnx_ir as ir
from onnx import AttributeProto, helper

from hexconv.onnx_graph.choices import Values, choice_faults

ONNX_DOMAINS = ("", "ai.onnx")
MICROSOFT = "com.microsoft"
"""ONNX Runtime's own ops: those that stand for ONNX's have their attributes."""

SINGLE = onnx.defs.OpSchema.FormalParameterOption.Single
KIND = AttributeProto.AttributeType
TEXTS = (KIND.INT, KIND.STRING, KIND.STRINGS)
"""Types of attributes that may take one of a few values."""

TERM = r"[A-Za-z]*(\.\.\.[A-Za-z]*)?"
EQUATION = re.compile(rf"{TERM}(,{TERM})*(->{TERM})?")
"""Of an Einsum, without spaces; ONNX's shape inference does not end for others."""


class Ports(NamedTuple):
    """How many inputs, or outputs, an op has; `needed` are the places that may not be empty."""

    fewest: int
    most: int
    needed: tuple[int, ...] = ()


class Signature(NamedTuple):
    """What an op has in one opset; attributes by name: their type, and whether one is needed."""

    inputs: Ports
    outputs: Ports
    attributes: Mapping[str, tuple[int, bool]]


@dataclass(frozen=True)
class Call:
    """A node as its op's signature is compared with it.

    Attributes:
        domain, op: of the node.
        inputs, outputs: names; empty where one is left out.
        attributes: types by name; 0 for what a function's caller passes.
        values: of the attributes that are texts or integers, by name.
    """

    domain: str
    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, int]
    values: Values

    @classmethod
    def of_proto(cls, node: onnx.NodeProto) -> Call:
        """Of a node in a file."""
        kinds = {a.name: 0 if a.ref_attr_name else a.type for a in node.attribute}
        given = [a for a in node.attribute if not a.ref_attr_name]
        values = {a.name: _listed(helper.get_attribute_value(a)) for a in given if a.type in TEXTS}
        return cls(node.domain, node.op_type, node.input, node.output, kinds, values)

    @classmethod
    def of(cls, node: ir.Node) -> Call:
        """Of a node whose functions are inlined."""
        inputs = ["" if value is None else str(value.name) for value in node.inputs]
        outputs = [value.name or "" for value in node.outputs]
        kinds = {name: attr.type.value for name, attr in node.attributes.items()}
        values = {n: _listed(a.value) for n, a in node.attributes.items() if a.type.value in TEXTS}
        return cls(node.domain, node.op_type, inputs, outputs, kinds, values)


def _listed(value: Any) -> list[str | int]:
    """An attribute's one or several values; texts are bytes in a file, and text in onnx-ir."""
    values = [value] if isinstance(value, (bytes, str, int)) else list(value)
    return [one.decode(errors="replace") if isinstance(one, bytes) else one for one in values]


def signature_faults(call: Call, opset: int) -> Iterator[str]:
    """What a node has that its op lacks, or the reverse; nothing where its op is not known."""
    if call.domain in (*ONNX_DOMAINS, MICROSOFT):
        yield from choice_faults(call.op, call.values)
    found = _signature(call.op, opset) if call.domain in ONNX_DOMAINS else None
    if found is None:
        return
    yield from _ports(call.inputs, found.inputs, "input")
    yield from _ports(call.outputs, found.outputs, "output")
    for name, (kind, needed) in found.attributes.items():
        if name not in call.attributes:
            if needed:
                yield f"it has no attribute '{name}'"
        elif (given := call.attributes[name]) not in (0, kind):
            yield f"attribute '{name}' is of type {KIND.Name(given)}, not {KIND.Name(kind)}"
    if call.op == "Einsum":
        for equation in call.values["equation"]:
            yield from _equation(str(equation))


def _equation(equation: str) -> Iterator[str]:
    written = equation.replace(" ", "")
    result = written.partition("->")[2].replace("...", "")
    if not EQUATION.fullmatch(written):
        yield f"its equation '{equation}' is not one of letters, commas, '...' and one '->'"
    elif len(set(result)) < len(result):
        yield f"its equation '{equation}' has a letter twice behind '->'"


def function_faults(node: onnx.NodeProto, function: onnx.FunctionProto) -> Iterator[str]:
    """As `signature_faults`, of a call of the model's own function: the last may be left out."""
    yield from _ports(node.input, Ports(0, len(function.input)), "input")
    yield from _ports(node.output, Ports(0, len(function.output)), "output")


def _ports(names: Iterable[str], ports: Ports, what: str) -> Iterator[str]:
    given = list(names)
    if len(given) < ports.fewest:
        yield f"it has {len(given)} {what} tensors, its op has at least {ports.fewest}"
    elif len(given) > ports.most:
        yield f"it has {len(given)} {what} tensors, its op has at most {ports.most}"
    for place in ports.needed:
        if place < len(given) and not given[place]:
            yield f"number {place} of its {what} tensors is left out, and its op always has it"


@functools.cache
def _signature(op: str, opset: int) -> Signature | None:
    try:
        schema = onnx.defs.get_schema(op, opset, "")
    except onnx.defs.SchemaError:
        return None
    return Signature(
        Ports(schema.min_input, schema.max_input, _needed(schema.inputs)),
        Ports(schema.min_output, schema.max_output, _needed(schema.outputs)),
        {a.name: (int(a.type.value), a.required) for a in schema.attributes.values()},
    )


def _needed(parameters: Sequence[onnx.defs.OpSchema.FormalParameter]) -> tuple[int, ...]:
    return tuple(k for k, parameter in enumerate(parameters) if parameter.option == SINGLE)
