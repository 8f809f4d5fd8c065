"""Attributes and inputs of one node, read and changed in place."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attr = node.attributes.get(name)
    return default if attr is None else int(attr.as_int())


def attr_to_input(node: ir.Node, builder: FloatBuilder, name: str, position: int) -> None:
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
