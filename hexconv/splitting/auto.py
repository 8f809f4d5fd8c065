"""Which nodes of a model the DSP cannot run, by the names in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir

from hexconv.errors import ConfigError, UnsupportedOpError
from hexconv.onnx_graph.subgraph import Pieces
from hexconv.settings import Settings

if TYPE_CHECKING:
    import onnx

    from hexconv.onnx_graph import FloatGraph


def unsupported_nodes(pieces: Pieces, dsp: onnx.ModelProto, settings: Settings) -> set[ir.Node]:
    """The nodes of the whole model that the DSP does not support in a part of it.

    Args:
        pieces: the whole.
        dsp: the part.
        settings: how it will be converted.

    Raises:
        ConfigError: the original node of an unsupported node is unknown.
        HexconvError: the model cannot be read.
    """
    from hexconv.lowering import dry_run
    from hexconv.pipeline import prepared

    if outside := _unfit_outside(pieces, dsp):
        return outside
    unloadable: list[UnsupportedOpError] = []
    graph, _ = prepared(dsp, None, settings, unloadable)
    own = {str(node.name): node for node in pieces.graph}
    if unloadable:
        return {_loaded(own, unsupported_op) for unsupported_op in unloadable}
    unsupported = dry_run(graph, float_fallback=settings.float_fallback).unsupported
    names = {unsupported_op.node for unsupported_op in unsupported}
    found: set[ir.Node] = set()
    for node in graph.nodes:
        if str(node.name) in names:
            found |= _origins(pieces, own, node, graph)
    return found


def _unfit_outside(pieces: Pieces, dsp: onnx.ModelProto) -> set[ir.Node]:
    """Nodes that read inputs or compute outputs which the DSP cannot receive or return."""
    there = {node.name for node in dsp.graph.node}
    made = {item.name for item in dsp.graph.output}
    readers = {
        node
        for value in pieces.graph.inputs
        if not fits(value)
        for node in pieces.readers(value)
        if str(node.name) in there
    }
    makers = {
        node
        for value in pieces.graph.outputs
        if value.name in made and not fits(value) and (node := value.producer()) is not None
    }
    return readers | makers


def fits(value: ir.Value) -> bool:
    """Whether the DSP can receive or return a value."""
    return value.dtype is None or value.dtype.is_floating_point()


def _loaded(own: Mapping[str, ir.Node], unsupported_op: UnsupportedOpError) -> ir.Node:
    if unsupported_op.node not in own:
        raise ConfigError(
            f"there is no known place to cut for the node '{unsupported_op.node}'",
            why="it is in a local function or was created while the model was loaded",
            hint="name the tensors to cut at",
        )
    return own[unsupported_op.node]


def _origins(
    pieces: Pieces, own: Mapping[str, ir.Node], node: ir.Node, graph: FloatGraph
) -> set[ir.Node]:
    """The model's nodes that a node of the canonical form comes from.

    The one of its name; else those that compute the first values after it that are in the file.
    """
    if str(node.name) in own:
        return {own[str(node.name)]}
    found: set[ir.Node] = set()
    queue, seen = list(node.outputs), set[ir.Value]()
    while queue:
        value = queue.pop()
        known = pieces.values.get(str(value.name))
        producer = known.producer() if known is not None else None
        if producer is not None:
            found.add(producer)
            continue
        seen.add(value)
        queue += [out for out in _following(value) if out not in seen]
    return found


def _following(value: ir.Value) -> Iterable[ir.Value]:
    return [out for use in value.uses() for out in use.node.outputs]
