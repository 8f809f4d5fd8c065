"""Rules that bring one node of an older opset to the opset of the normal form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.build import Builder

# A rule changes the node in place (and answers None) or answers what replaces its outputs.
Rule = Callable[[ir.Node, Builder], Sequence[ir.Value | None] | None]


class Entry(NamedTuple):
    """A rule, and the first opset that does not need it (None: every opset does)."""

    rule: Rule
    below: int | None


RULES: dict[str, list[Entry]] = {}


def modernizes(*op_types: str, below: int | None = None) -> Callable[[Rule], Rule]:
    """Register a rule for nodes of `op_types` that were written for an opset under `below`.

    An op of another domain is written `com.microsoft::Gelu`.
    """

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            RULES.setdefault(op_type, []).append(Entry(rule, below))
        return rule

    return register


def rules_for(node: ir.Node) -> list[Rule]:
    """The rules that apply to a node, in the order in which they were registered."""
    version = node.version or 0
    return [
        entry.rule
        for entry in RULES.get(f"{node.domain}::{node.op_type}".removeprefix("::"), ())
        if entry.below is None or version < entry.below
    ]


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attr = node.attributes.get(name)
    return default if attr is None else int(attr.as_int())


def attr_to_input(node: ir.Node, builder: Builder, name: str, position: int) -> None:
    """Turn the attribute `name` (integers) into the constant input at `position`."""
    attr = node.attributes.pop(name, None)
    if attr is None:
        return
    values = np.array(attr.as_ints(), np.int64)
    set_input(node, position, builder.const(values, f"{node.name}_{name}"))


def set_input(node: ir.Node, position: int, value: ir.Value | None) -> None:
    """Put a value at an input position, adding empty ones before it as needed."""
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    node.replace_input_with(position, value)
