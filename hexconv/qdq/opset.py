"""The oldest opset in which a graph computes the same: more runtimes take it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from hexconv.decompose import decompose
from hexconv.errors import ModelError
from hexconv.onnx_graph import FloatGraph
from hexconv.qdq.sessions import opened

OLDEST_OPSET = 13
"""From which DequantizeLinear takes a scale for each channel."""
NEWEST_OP = 20
"""Ops that came to ONNX later (Swish, RMSNormalization) are written out in older ones."""
LARGEST = 2_000_000_000
"""Bytes that one protobuf holds, about."""


def lowered_opset(graph: FloatGraph) -> onnx.ModelProto:
    """The graph as a proto of the oldest opset, from 13 on, in which it computes the same.

    Raises:
        ModelError: one file does not hold the weights.
    """
    arrays = (value.const_value for value in graph.graph.initializers.values())
    weights = sum(array.nbytes for array in arrays if array is not None)
    if weights > LARGEST:
        raise ModelError(
            f"{weights / 1e9:.1f} GB of weights do not fit one ONNX file", where=graph.source
        )
    proto = graph.to_proto()
    newest = proto.opset_import[0].version
    for version in range(OLDEST_OPSET, newest):
        if all(_same_signature(node, version, newest) for node in proto.graph.node):
            other = _at_opset(proto, version)
            if _same_results(proto, other):
                return other
    return proto


def write_out_recent_ops(graph: FloatGraph) -> None:
    """Decompose ops that few runtimes know yet, in place."""
    first: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            version = first.get(schema.name, schema.since_version)
            first[schema.name] = min(version, schema.since_version)
    decompose(graph, [node for node in graph.nodes if first.get(node.op_type, 1) <= NEWEST_OP])


def _same_signature(node: onnx.NodeProto, old: int, new: int) -> bool:
    """Whether a node of a new opset can be written in an old one."""
    before, after = (_schema(node, version) for version in (old, new))
    if before is None or after is None:
        return before is after
    names = [[item.name for item in schema.inputs] for schema in (before, after)]
    used = len(node.input)
    defaults = [
        {name: onnx.helper.get_attribute_value(a.default_value) for name, a in s.attributes.items()}
        for s in (before, after)
    ]
    set_by_node = {attribute.name for attribute in node.attribute}
    alike = all(
        defaults[0].get(name) == value
        for name, value in defaults[1].items()
        if name not in set_by_node and name in defaults[0]
    )
    return (
        names[0][:used] == names[1][:used]
        and set_by_node <= defaults[0].keys()
        and alike
        and defaults[0].keys() - set_by_node <= defaults[1].keys()
    )


def _schema(node: onnx.NodeProto, version: int) -> Any:
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def _at_opset(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    other.opset_import[0].version = version
    other.ir_version = onnx.helper.find_min_ir_version_for(list(other.opset_import))
    return other


def _same_results(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    """Whether ONNX Runtime computes the same on random input."""
    try:
        sessions = [opened(model) for model in (one, other)]
    except ModelError:
        return False
    rng = np.random.default_rng(0)
    feeds = {
        item.name: rng.uniform(-1, 1, item.shape).astype(np.float32)
        for item in sessions[0].get_inputs()
    }
    results = [session.run(None, feeds) for session in sessions]
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*results, strict=True))
