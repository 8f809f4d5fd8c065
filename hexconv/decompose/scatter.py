"""ScatterElements and ScatterND at constant positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.by_position import numbered, taken
from hexconv.decompose.gather import elements, outside, tuples
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS

REDUCTIONS = {"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}


@DECOMPOSITIONS.rule("ScatterElements", "ScatterND")
def to_constant_index(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Each element comes from the data or from the updates: gather rows of both.

    A reduction combines the updates with the data's elements first. Unsupported where an element is
    written twice (ONNX does not define which update wins).
    """
    data, updates, index = node.inputs[0], node.inputs[2], array_of(node.inputs[1])
    if data is None or updates is None or index is None:
        return None
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    own = numbered(data)
    try:
        places = (elements if node.op_type == "ScatterElements" else tuples)(own, index, attrs)
    except IndexError as error:
        raise outside(node, index) from error
    targets = places.reshape(-1)
    if np.unique(targets).size < targets.size:
        return None
    combine = REDUCTIONS.get(attrs.get("reduction", "none"))
    if combine is not None:
        there = taken(builder, [data], places, "")
        if there is None:
            return None
        updates = builder.op(combine, [there, updates])
    own.reshape(-1)[targets] = own.size + np.arange(targets.size)
    assert targets.size == np.prod(shape_of(updates), dtype=np.int64)
    result = taken(builder, [data, updates], own, str(node.name))
    return None if result is None else [result]
