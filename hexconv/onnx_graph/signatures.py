"""Whether nodes have the inputs, outputs and attributes that their ops have.

Checked of every node right after a file is parsed: nothing after that meets a node without the
operands that its op always has, or a text where a number belongs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import onnx
import onnx_ir as ir
from onnx import AttributeProto

ONNX_DOMAINS = ("", "ai.onnx")
SINGLE = onnx.defs.OpSchema.FormalParameterOption.Single
KIND = AttributeProto.AttributeType
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
        op: of the ONNX domain.
        inputs, outputs: names; empty where one is left out.
        attributes: types by name; 0 for what a function's caller passes.
        equation: of an Einsum.
    """

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, int]
    equation: str = ""

    @classmethod
    def of_proto(cls, node: onnx.NodeProto) -> Call:
        """Of a node in a file."""
        kinds = {a.name: 0 if a.ref_attr_name else a.type for a in node.attribute}
        equations = [a.s.decode(errors="replace") for a in node.attribute if a.name == "equation"]
        return cls(node.op_type, node.input, node.output, kinds, "".join(equations[:1]))

    @classmethod
    def of(cls, node: ir.Node) -> Call:
        """Of a node whose functions are inlined."""
        inputs = ["" if value is None else str(value.name) for value in node.inputs]
        outputs = [value.name or "" for value in node.outputs]
        kinds = {name: attr.type.value for name, attr in node.attributes.items()}
        equation = node.attributes.get("equation")
        return cls(node.op_type, inputs, outputs, kinds, str(equation.value) if equation else "")


def signature_faults(call: Call, opset: int) -> Iterator[str]:
    """What a node has that its op lacks, or the reverse; nothing where ONNX has no such op."""
    found = _signature(call.op, opset)
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
        yield from _equation_faults(call.equation)


def _equation_faults(equation: str) -> Iterator[str]:
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
