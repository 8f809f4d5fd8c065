"""LSTM, GRU and RNN with the batch first (`layout` 1, opset 14), converted to time first."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS

STATES = (5, 6)  # initial_h and, of an LSTM, initial_c: [batch, directions, hidden]


@MODERNIZATIONS.rule("LSTM", "GRU", "RNN")
def time_first(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None] | None:
    """Transposes around a recurrent node of layout 0; onnxruntime has no other on the CPU.

    X is [batch, time, input] and becomes [time, batch, input]; Y is
    [time, directions, batch, hidden] and becomes [batch, time, directions, hidden].
    """
    if integer(node, "layout", 0) == 0:
        node.attributes.pop("layout", None)
        return None
    swap = {"perm": [1, 0, 2]}
    inputs = list(node.inputs)
    for position in (0, *STATES):
        if position < len(inputs) and inputs[position] is not None:
            inputs[position] = builder.op("Transpose", [inputs[position]], swap)
    attrs = {name: attr.value for name, attr in node.attributes.items() if name != "layout"}
    results = builder.ops(
        node.op_type, inputs, attrs, outputs=len(node.outputs), name=str(node.name)
    )
    perms = [[2, 0, 1, 3], [1, 0, 2], [1, 0, 2]]
    return [
        builder.op("Transpose", [result], {"perm": perm}) if old.name else None
        for old, result, perm in zip(node.outputs, results, perms, strict=False)
    ]
