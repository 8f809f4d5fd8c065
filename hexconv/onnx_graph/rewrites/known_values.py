"""Results that are one number whatever the data: bounds that meet."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
import onnx_ir as ir

from hexconv.arrays import Array
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.intervals import interval
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

DEPTH = 6
"""Of the nodes that are looked through: bounds that meet are set a few nodes before."""


@SIMPLIFICATIONS.rule("Clip", "LeakyRelu", "Max", "Min", "Mul", "Relu", "ThresholdedRelu")
def known_from_bounds(node: ir.Node, builder: FloatBuilder) -> bool:
    """Relu(Clip(x, -1, 0)), Min(Relu(x), 0), Clip(x, 1, 1), x * 0... are constants."""
    output = node.outputs[0]
    low, high = interval(output, DEPTH)
    shape = shape_of(output)
    if low != high or not isfinite(low) or shape is None or output.dtype != ir.DataType.FLOAT:
        return False
    if all(array_of(value) is not None for value in node.inputs if value is not None):
        return False
    _put(node, [np.full(shape, low, np.float32)], builder)
    return True


def _put(node: ir.Node, arrays: Sequence[Array], builder: FloatBuilder) -> None:
    """Constants in place of a node, and of all that is computed from constants alone behind it."""
    queue = [(node, arrays)]
    while queue:
        known, results = queue.pop()
        consts = [builder.const(array) for array in results]
        builder.at(known).replace(known, consts)
        for reader in dict.fromkeys(reader for const in consts for reader, _ in const.uses()):
            folded = None if _names_an_output(reader) else builder.fold(reader)
            if folded is not None and all(reader is not other for other, _ in queue):
                queue.append((reader, folded))


def _names_an_output(node: ir.Node) -> bool:
    return node.op_type == "Identity" and node.outputs[0].is_graph_output()
