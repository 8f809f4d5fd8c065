"""Load an ONNX model into the canonical form that lowerings and calibration read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from hexconv.errors import ModelError, UnsupportedOpError, UnsupportedOpErrors
from hexconv.onnx_graph import modernize, rewrites  # noqa: F401  (they register their rules)
from hexconv.onnx_graph.branches import decided_at_run_time
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.canonicalize import canonicalize
from hexconv.onnx_graph.casting import (
    INTEGERS,
    check_weights,
    drop_unused_inputs,
    floats_to_float32,
    integer_data_to_float,
    integer_inputs,
    integer_outputs_to_float,
    narrow_floats,
)
from hexconv.onnx_graph.channel_quantizers import without_dynamic
from hexconv.onnx_graph.classes import class_outputs
from hexconv.onnx_graph.cleanup import (
    check_readers,
    check_wiring,
    name_nodes,
    remove_dead,
    share_initializers,
)
from hexconv.onnx_graph.empties import check_outputs
from hexconv.onnx_graph.graph import FloatGraph
from hexconv.onnx_graph.integer_data import integer_data_as_floats
from hexconv.onnx_graph.last_functions import last_functions
from hexconv.onnx_graph.malformed import MALFORMED
from hexconv.onnx_graph.masks import finite_masks
from hexconv.onnx_graph.plain_codes import plain_codes
from hexconv.onnx_graph.quantized import take_ranges
from hexconv.onnx_graph.quantized_outputs import codes_as_floats
from hexconv.onnx_graph.read import read_model
from hexconv.onnx_graph.rules import simplify
from hexconv.onnx_graph.shapes import fix_input_shapes
from hexconv.onnx_graph.signatures import Call, signature_faults
from hexconv.onnx_graph.whole import Note

MOST_NODES = 500_000
"""Nodes of a model whose functions are inlined."""


def load(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    *,
    recognize: bool = True,
    unsupported: list[UnsupportedOpError] | None = None,
    unreached: Collection[str] = (),
) -> FloatGraph:
    """Load a model and bring it into canonical form.

    Canonical form: one graph in topological order, of opset `builder.OPSET`; no functions, control
    flow, Constant, Dropout, or casts between floats; Identity only where an output is an input or
    a constant; every float is float32, every shape known; everything constant is an initializer.
    Values keep the names that they have in the file.

    Args:
        source: path of an .onnx file (external data beside it), or a proto.
        shapes: sizes of inputs by name; needed for those with dynamic dimensions.
        recognize: restore ops that exporters decompose (layer norm, GELU, SiLU...); False
            leaves such compositions as exported. Simplifications that change no value that
            the DSP would compute (folding, merging) are always applied.
        unsupported: if given, errors about unsupported nodes are appended, and the graph that is
            returned lacks these nodes: good to check the others, and for nothing else.
        unreached: those of the graph's `clamps` to leave out, since no value reaches them.

    Raises:
        FileError: the file is missing, cut, or not ONNX.
        ModelError: the model is invalid, or its shapes are not fixed.
        UnsupportedOpError: no DSP model can have a node (control flow, sizes that depend on data);
            `UnsupportedOpErrors` if there are several.
    """
    model, label = read_model(source)
    bound = Note.of(model.metadata_props).bound
    _inline(model, label)
    check_wiring(model.graph, label)
    original = _names(model.graph)
    _one_main_graph(model)
    free = fix_input_shapes(model, shapes)
    floats_to_float32(model)
    integers = _integer_inputs(model)
    integer_data_to_float(model)
    unrounded = integer_outputs_to_float(model)
    odd = integer_inputs(model)
    builder, cut = canonicalize(model)
    if unsupported is not None:
        unsupported += [*cut.unsupported, *cut.unjudged]
    elif cut.unsupported:
        if odd is not None:
            raise odd
        raise (
            cut.unsupported[0]
            if len(cut.unsupported) == 1
            else UnsupportedOpErrors(cut.unsupported)
        )
    branches = decided_at_run_time(model.graph)
    check_outputs(model.graph)
    plain_codes(builder)
    without_dynamic(builder)
    unrounded += codes_as_floats(builder)
    declared = take_ranges(builder, unreached)
    remove_dead(model.graph)
    integer_data_as_floats(builder)
    dropped = drop_unused_inputs(model, original)
    finite_masks(model.graph)
    check_weights(model, label)
    counts = simplify(builder, recognize=recognize)
    if narrow := narrow_floats(model):
        if unsupported is None:
            raise UnsupportedOpErrors(narrow)
        unsupported += narrow
    dropped = (*dropped, *bound)
    graph = _finished(model, builder, label, dropped, counts, original, bool(cut.unsupported))
    return replace(
        graph,
        ranges=declared.ranges,
        wide=declared.wide,
        clamps=declared.clamps,
        unrounded=unrounded,
        branches=branches,
        last_functions=last_functions(model.graph, original),
        open_axes=free,
        integers=integers & {str(value.name) for value in model.graph.inputs},
    )


def _finished(
    model: ir.Model,
    builder: FloatBuilder,
    label: str,
    dropped: tuple[str, ...],
    counts: dict[str, int],
    original: frozenset[str],
    has_unsupported: bool,
) -> FloatGraph:
    remove_dead(model.graph)
    share_initializers(model.graph)
    name_nodes(model.graph)
    for value in model.graph.inputs:
        if not isinstance(value.type, ir.TensorType | None):
            raise ModelError(
                f"the input '{value.name}' is not a tensor",
                where=label,
                why="sequences, optionals and maps cannot go to the DSP",
            )
    if not model.graph.inputs and not has_unsupported:
        raise ModelError(
            "the model has no input", where=label, why="nothing it computes depends on one"
        )
    classes = frozenset() if has_unsupported else class_outputs(model.graph)
    return FloatGraph(model, label, dropped, counts, original, classes=classes)


def _integer_inputs(model: ir.Model) -> frozenset[str]:
    return frozenset(str(value.name) for value in model.graph.inputs if value.dtype in INTEGERS)


def _names(graph: ir.Graph) -> frozenset[str]:
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return frozenset(str(value.name) for value in values if value.name)


def _inline(model: ir.Model, label: str) -> None:
    """Inline the bodies of local functions.

    Each node is annotated with its opset first: a function may import another than the model does.
    """
    has_functions = bool(model.functions)
    for node in model.graph.all_nodes():
        node.version = model.opset_imports.get(node.domain, 1)
    for function in model.functions.values():
        for node in function.all_nodes():
            node.version = function.opset_imports.get(node.domain, 1)
        function.opset_imports.clear()
        check_wiring(function.graph, f"{label}, function '{function.name}'")
        check_readers(function)
    try:
        _check_inlined_size(model)
        InlinePass()(model)
    except (*MALFORMED, ir.passes.PassError, ir.passes.InvariantError) as error:
        raise ModelError(
            "the model's local functions cannot be inlined",
            where=label,
            why=str(error.__cause__ or error).splitlines()[0],
        ) from error
    if has_functions:
        _check_calls(model, label)
    model.functions.clear()


def _check_calls(model: ir.Model, label: str) -> None:
    """Hold the nodes of functions to what their callers pass; the others were when they were read.

    Raises:
        ModelError: an attribute has another type than its op's.
    """
    for node in model.graph.all_nodes():
        for why in signature_faults(Call.of(node), node.version or 1):
            raise ModelError(
                "the ONNX model is invalid",
                where=f"{label}, node '{node.name}' ({node.op_type})",
                why=why,
            )


def _check_inlined_size(model: ir.Model) -> None:
    """Raise for functions that call each other so often that their bodies fill the memory."""
    sizes: dict[ir.OperatorIdentifier, int] = {}

    def of(key: ir.OperatorIdentifier) -> int:
        if key not in model.functions:
            return 1
        if key not in sizes:
            sizes[key] = 0  # of a function that calls itself, which the pass reports
            sizes[key] = sum(of(n.op_identifier()) for n in model.functions[key].all_nodes())
        return sizes[key]

    count = sum(of(node.op_identifier()) for node in model.graph.all_nodes())
    if model.functions and count > MOST_NODES:
        raise ValueError(f"they are {count} nodes, {MOST_NODES} at most are read")


def _one_main_graph(model: ir.Model) -> None:
    name_nodes(model.graph)
    remove_dead(model.graph)
    model.metadata_props.clear()
