"""Sums of tensors, each multiplied by a number for each channel: one node, one rounding."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import made_by, read_once
from hexconv.optimize.fusions.channel_sums import ChannelSum, Floats, normalized_sums
from hexconv.optimize.fusions.edit import Inserter, insert_custom_op, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

NARROW = 8.0
"""By how much the range of a term may be below that of the widest."""
ALIKE = 8
"""Columns of what is spread: products of up to 4 inputs take five times the packets."""


@rewrite(Stage.FUSION, accuracy=True)
def sums_by_channel(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """A sum of tensors times gamma is one convolution over all of them, rounded once."""
    found = normalized_sums(graph)
    for value, total in found.items():
        node = value.producer()
        assert node is not None
        _replace(graph, node, total, observed)
    if found:
        remove_dead(graph.graph)
    return len(found)


def _replace(
    graph: FloatGraph, node: ir.Node, found: ChannelSum, observed: MutableMapping[str, Bounds]
) -> None:
    put, width = Inserter(graph, node, observed), shape_of(node.outputs[0])[-1]
    terms = [_spread(put, value, width) for value in found.terms]
    _widen(terms, list(found.terms.values()), observed)
    factors = np.stack(list(found.terms.values())).astype(np.float32)
    consts = [
        put.const(f"{node.name}/factors", factors),
        put.const(f"{node.name}/addend", found.addend.astype(np.float32)),
    ]
    insert_custom_op("ChannelSum", node, [*consts, *terms], node.outputs[0])
    remove(node)


def _widen(
    terms: list[ir.Value], factors: list[Floats], observed: MutableMapping[str, Bounds]
) -> None:
    """Give narrow terms wider ranges: weights of 8 bits are coarse beside those of wide ones.

    With the proportions of the widest term's, whose zero point the sum takes for that of all.
    """
    sizes = [float(np.median(np.abs(factor))) for factor in factors]
    bounds = [_bounds(term, observed) for term in terms]
    reach = [size * max(map(abs, ends)) for size, ends in zip(sizes, bounds, strict=True)]
    widest = int(np.argmax(reach))
    for term, size, (low, high) in zip(terms, sizes, bounds, strict=True):
        fixed = array_of(term) is not None or len(list(term.uses())) > 1
        if fixed or not 0.0 < size * max(-low, high) < max(reach) / NARROW:
            continue
        least, most = (end * sizes[widest] / size for end in bounds[widest])
        wider = max(
            [1.0 / NARROW, *(own / end for own, end in ((low, least), (high, most)) if end)]
        )
        observed[str(term.name)] = least * wider, most * wider


def _bounds(term: ir.Value, observed: Mapping[str, Bounds]) -> Bounds:
    array = array_of(term)
    return observed[str(term.name)] if array is None else (float(array.min()), float(array.max()))


def _spread(put: Inserter, value: ir.Value, width: int) -> ir.Value:
    """A value for each channel, of one for each row."""
    shape = shape_of(value)
    if shape[-1] == width:
        return value
    value, columns = _repeated(put, value)
    ones = np.full((columns, width), 1.0 / columns, np.float32)
    spread = put.const(f"{put.before.name}/{value.name}/ones", ones)
    return put.node("MatMul", [value, spread], (*shape[:-1], width), str(value.name))


def _repeated(put: Inserter, value: ir.Value) -> tuple[ir.Value, int]:
    """A column that a product computes, several times, and how often: few cost more than these."""
    node = made_by(value, "MatMul")
    weights = array_of(node.inputs[1]) if node is not None and read_once(value) else None
    if node is None or weights is None or node.inputs[0] is None:
        return value, 1
    columns = put.const(f"{node.name}/columns", np.repeat(weights, ALIKE, axis=1))
    shape = (*shape_of(value)[:-1], ALIKE)
    return put.node("MatMul", [node.inputs[0], columns], shape, str(value.name)), ALIKE
