"""Quantized models become float graphs with ranges: those that QuantizeLinear defines.

QuantizeLinear after DequantizeLinear changes a value only by rounding, which the DSP does anyway;
scale and zero point are the range of the tensor between. Quantized constants were computed before.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.quantize import Bounds

# Ops on integers that an exporter leaves between the two: moves of data, or a maximum.
MOVES = {
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
}
ON_CODES = {*MOVES, "Concat", "Pad", "Relu"}


def take_ranges(builder: FloatBuilder) -> dict[str, Bounds]:
    """Remove QuantizeLinear and DequantizeLinear from a graph in canonical form.

    Those that do not define the range of a whole tensor (scales by axis or block, computed) stay.

    Returns:
        (min, max) of each tensor that was quantized, by its name.
    """
    ranges: dict[ir.Value, Bounds] = {}
    floated: set[ir.Value] = set()
    for node in list(builder.graph):
        if node.graph is None or node.domain:
            continue
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "QuantizeLinear" and source is not None and _goes_on(node.outputs[0]):
            bounds = _bounds(node)
            if bounds is None:
                continue
            known = ranges.get(source, bounds)
            ranges[source] = min(known[0], bounds[0]), max(known[1], bounds[1])
            floated.add(source)
            _instead(node, source, builder)
        elif source is None or source not in floated:
            continue
        elif node.op_type == "DequantizeLinear":
            _instead(node, source, builder)
        elif node.op_type in ON_CODES and not _is_float(node.outputs[0]):
            builder.at(node).infer_anew(node)
            floated.update(node.outputs)
            if node.op_type in MOVES and source in ranges:
                ranges.update(dict.fromkeys(node.outputs, ranges[source]))
    # Values have taken over the names of those that they replace.
    return {str(value.name): bounds for value, bounds in ranges.items()}


def _goes_on(value: ir.Value) -> bool:
    """Whether every path of the integers ends in floats: none is an output of the model."""
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        if current.is_graph_output():
            return False
        for use in current.uses():
            if use.node.op_type == "DequantizeLinear" and use.idx == 0:
                if _bounds(use.node) is None:
                    return False
            elif use.node.op_type in ON_CODES:
                fresh = [output for output in use.node.outputs if output not in seen]
                seen.update(fresh)
                pending += fresh
            else:
                return False
    return True


def _bounds(node: ir.Node) -> Bounds | None:
    """The values of the lowest and the highest integer; None if that is not one range."""
    scale = array_of(node.inputs[1])
    if scale is None or scale.size != 1:
        return None
    zero = np.zeros(1, np.uint8)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        found = array_of(node.inputs[2])
        if found is None or found.size != 1:
            return None
        zero = found
    elif node.op_type == "QuantizeLinear" and node.outputs[0].dtype is not None:
        zero = np.zeros(1, node.outputs[0].dtype.numpy())
    elif node.inputs[0] is not None and node.inputs[0].dtype is not None:
        zero = np.zeros(1, node.inputs[0].dtype.numpy())
    if zero.dtype.kind not in "iu" or zero.dtype.itemsize > 2:
        return None
    limits, step = np.iinfo(zero.dtype), float(scale.reshape(-1)[0])
    offset = int(zero.reshape(-1)[0])
    return (limits.min - offset) * step, (limits.max - offset) * step


def _instead(node: ir.Node, value: ir.Value, builder: FloatBuilder) -> None:
    """Let the readers of a node's output read the float value."""
    builder.at(node).replace(node, [value])


def _is_float(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT
