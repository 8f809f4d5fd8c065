"""One walk that brings a graph into canonical form.

For each node in turn: the opset it was written for is checked, rules of `modernize` bring it to
the opset of the canonical form, constant results are computed, and for the rest ONNX infers shape
and type from inputs that are already known. One pass in topological order is enough, in linear
time in the number of nodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import onnx
import onnx_ir as ir
from onnx.checker import ValidationError

from hexconv.errors import ModelError, UnsupportedOpError
from hexconv.names import nearest
from hexconv.onnx_graph import empties
from hexconv.onnx_graph.branches import check_branches, inlined
from hexconv.onnx_graph.builder import OPSET, FloatBuilder
from hexconv.onnx_graph.cut import CutNodes
from hexconv.onnx_graph.functions import expand
from hexconv.onnx_graph.loops import unrolled, unrolled_scan
from hexconv.onnx_graph.malformed import MALFORMED, innermost
from hexconv.onnx_graph.rules import MODERNIZATIONS

CONTROL_FLOW = {"If": inlined, "Loop": unrolled, "Scan": unrolled_scan}


def canonicalize(model: ir.Model) -> tuple[FloatBuilder, CutNodes]:
    """Bring the main graph (functions already inlined) into canonical form, in place.

    Nodes that no DSP model can have are removed, so that the others can be checked; with any, the
    graph is good for nothing else.

    Returns:
        The builder that knows all its names and shapes, for the rewrites that follow; and every
        unsupported node.
    """
    graph = model.graph
    builder = FloatBuilder(graph)
    checkers = _Checkers(model)
    cut = CutNodes(graph)
    queue = deque(graph)
    while queue:
        node = queue.popleft()
        if node.graph is None:
            continue
        try:
            if node.op_type in CONTROL_FLOW and node.domain == "":
                if cut.behind(node):
                    continue
                queue.extendleft(reversed(CONTROL_FLOW[node.op_type](node, builder)))
                continue
            checkers.check(node)
            if cut.behind(node):
                continue
            check_branches(node)
            body = expand(node, builder)
            if body is None:
                _settle(node, builder)
            else:
                queue.extendleft(reversed(body))
        except UnsupportedOpError as unsupported_op:
            cut.out(node, unsupported_op)
    model.opset_imports.clear()
    model.opset_imports[""] = OPSET
    return builder, cut


def _settle(node: ir.Node, builder: FloatBuilder) -> None:
    builder.at(node)
    for rule in MODERNIZATIONS.at(node):
        replacement = rule.apply(node, builder)
        if isinstance(replacement, Sequence):
            builder.replace(node, replacement)
            return
    if node.domain == "":
        node.version = OPSET
        _drop_unknown_attributes(node)
    arrays = builder.fold(node)
    if arrays is None:
        builder.infer(node, may_be_empty=True)
        empties.settle(node, builder)
        return
    for array, old in zip(arrays, node.outputs, strict=False):
        if not old.is_graph_output():
            builder.names.discard(str(old.name))
        new = builder.const(array, str(old.name))
        builder.transfer_uses(old, new, node)
    builder.remove(node)


def _drop_unknown_attributes(node: ir.Node) -> None:
    """Attributes that the canonical opset lacks: removed at their default, else unsupported."""
    try:
        schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    except onnx.defs.SchemaError:
        raise UnsupportedOpError(
            f"{node.op_type} is newer than opset {OPSET}, or was removed from ONNX before",
            node=str(node.name),
            op=node.op_type,
            hint=f"export the model with an opset up to {OPSET}",
        ) from None
    for name in [name for name in node.attributes if name not in schema.attributes]:
        written = onnx.defs.get_schema(node.op_type, node.version or OPSET, "")
        newest = onnx.defs.get_schema(node.op_type).attributes.get(name)
        declared = written.attributes.get(name, newest)
        default = None
        if declared is not None and declared.default_value.name:
            default = ir.serde.deserialize_attribute(declared.default_value).value
        if default is None or node.attributes[name].value != default:
            raise UnsupportedOpError(
                f"attribute '{name}' has no counterpart in opset {OPSET}",
                node=str(node.name),
                op=node.op_type,
            )
        node.attributes.pop(name)


class _Checkers:
    """ONNX's checker for one node at a time, in the opset that the node was written for."""

    def __init__(self, model: ir.Model) -> None:
        self.ir_version = model.ir_version
        self.contexts: dict[int, object] = {}

    def check(self, node: ir.Node) -> None:
        """ModelError if the node violates its op's schema; UnsupportedOpError for an unknown op."""
        version = node.version or OPSET
        known = node.domain == "" and onnx.defs.has(node.op_type, version, "")
        if not known and any(MODERNIZATIONS.at(node)):
            return
        if not known:
            raise _unknown(node, version)
        if onnx.defs.get_schema(node.op_type, version, "").deprecated and any(
            MODERNIZATIONS.at(node)
        ):
            return  # GroupNormalization of opset 18: the checker rejects it, exporters write it
        context = self.contexts.get(version)
        if context is None:
            context = onnx.checker.C.CheckerContext()
            context.ir_version = self.ir_version
            context.opset_imports = {"": version}
            self.contexts[version] = context
        try:
            onnx.checker.check_node(ir.serde.serialize_node(node), context)
        except (ValidationError, *MALFORMED) as error:
            raise ModelError(
                "the ONNX model is invalid",
                where=f"node '{node.name}' ({node.op_type})",
                why=innermost(error),
            ) from error


def _unknown(node: ir.Node, version: int) -> UnsupportedOpError:
    if node.domain.startswith("com.microsoft"):
        return UnsupportedOpError(
            f"op {node.op_type} of domain '{node.domain}' is ONNX Runtime's own",
            node=str(node.name),
            op=f"{node.domain}::{node.op_type}",
            why="its optimizer wrote it in place of ONNX ops: the layout NCHWc, or a fused kernel",
            hint="convert the file from before optimization, or save it with "
            "graph_optimization_level = ORT_ENABLE_BASIC",
        )
    if node.domain:
        return UnsupportedOpError(
            f"op {node.op_type} of domain '{node.domain}' is not an ONNX op",
            node=str(node.name),
            op=f"{node.domain}::{node.op_type}",
            hint="export the model without custom ops, or with their functions in the file",
        )
    first: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            since = first.get(schema.name, schema.since_version)
            first[schema.name] = min(since, schema.since_version)
    what, hint = f"ONNX has no op {node.op_type} in opset {version}", ""
    if first.get(node.op_type, 0) > version:
        hint = f"the op is new in opset {first[node.op_type]}: export the model with that opset"
    elif near := nearest(node.op_type, first.keys() - {node.op_type}):
        what += f"; did the exporter mean {near[0]}?"
    return UnsupportedOpError(what, node=str(node.name), op=node.op_type, hint=hint)
