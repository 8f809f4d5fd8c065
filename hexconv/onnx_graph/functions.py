"""Ops that ONNX itself defines by others: their function bodies replace the node."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from hexconv.errors import ModelError
from hexconv.onnx_graph.builder import OPSET, FloatBuilder, shape_of

# Those that nothing after the canonical form handles better.
EXPANDED = {
    "Attention",
    "NegativeLogLikelihoodLoss",
    "RotaryEmbedding",
    "SoftmaxCrossEntropyLoss",
    "SwiGLU",
}


def expand(node: ir.Node, builder: FloatBuilder) -> list[ir.Node] | None:
    """Replace a node of EXPANDED by the nodes of its function body.

    Returns:
        The new nodes, yet to be normalized; None for a node that stays.
    """
    if node.op_type not in EXPANDED or node.domain:
        return None
    function = _body(node)
    imports = {item.domain: item.version for item in function.opset_import}
    values: dict[str, ir.Value | None] = {"": None}
    values.update(zip(function.input, (*node.inputs, *[None] * len(function.input)), strict=False))
    declared = onnx.defs.get_schema(node.op_type, node.version or OPSET, "").attributes
    defaults = {n: a.default_value for n, a in declared.items() if a.default_value.name}
    defaults |= {attr.name: attr for attr in function.attribute_proto}
    nodes = []
    for proto in function.node:
        inner = _node(proto, node, values, defaults, builder)
        inner.version = imports.get(inner.domain, OPSET)
        values.update(
            {name: value for name, value in zip(proto.output, inner.outputs, strict=True) if name}
        )
        nodes.append(inner)
    builder.graph.insert_before(node, nodes)
    builder.at(node)
    for name, old in zip(function.output, node.outputs, strict=False):
        new = values.get(name)
        if new is not None and (old.uses() or old.is_graph_output()):
            builder.transfer_uses(old, new, node)
    builder.remove(node)
    return [inner for inner in nodes if inner.graph is not None]


def _body(node: ir.Node) -> onnx.FunctionProto:
    """The function of the newest opset that the canonical form has, for the types at hand."""
    schema = onnx.defs.get_schema(node.op_type, node.version or OPSET, "")
    fixed = [v for v in schema.function_opset_versions if v <= max(OPSET, schema.since_version)]
    function = onnx.FunctionProto()
    if fixed:
        function.ParseFromString(schema.get_function_with_opset_version(max(fixed)))
        return function
    versions = schema.context_dependent_function_opset_versions
    known = [v for v in versions if v <= max(OPSET, schema.since_version)]
    types = [_type(value).SerializeToString() for value in node.inputs]
    content = schema.get_context_dependent_function_with_opset_version(
        max(known), ir.serde.serialize_node(node).SerializeToString(), types
    )
    if not content:
        raise ModelError(
            "a node does not fit its inputs",
            where=f"node '{node.name}' ({node.op_type})",
            why="ONNX gives no function body for these inputs and attributes",
        )
    function.ParseFromString(content)
    return function


def _type(value: ir.Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    assert value.dtype is not None
    return onnx.helper.make_tensor_type_proto(value.dtype.value, list(shape_of(value)))


def _node(
    proto: onnx.NodeProto,
    caller: ir.Node,
    values: Mapping[str, ir.Value | None],
    defaults: Mapping[str, onnx.AttributeProto],
    builder: FloatBuilder,
) -> ir.Node:
    """One node of a body: inputs looked up, attributes of the caller inserted."""
    attributes = []
    for attr in proto.attribute:
        if not attr.ref_attr_name:
            attributes.append(ir.serde.deserialize_attribute(attr))
            continue
        given = caller.attributes.get(attr.ref_attr_name)
        if given is not None:
            attributes.append(ir.Attr(attr.name, given.type, given.value))
        elif attr.ref_attr_name in defaults:
            found = ir.serde.deserialize_attribute(defaults[attr.ref_attr_name])
            attributes.append(ir.Attr(attr.name, found.type, found.value))
    node = ir.Node(
        proto.domain,
        proto.op_type,
        [values[name] for name in proto.input],
        attributes,
        num_outputs=len(proto.output),
    )
    node.name = builder.fresh_node(f"{caller.name}/{proto.op_type}")
    for name, value in zip(proto.output, node.outputs, strict=True):
        value.name = builder.fresh(f"{caller.name}/{name}") if name else ""
    return node
