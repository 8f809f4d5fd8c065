"""GatherElements, GatherND and ReverseSequence with constant indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from hexconv.decompose.by_position import Positions, numbered, taken
from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import DECOMPOSITIONS


@DECOMPOSITIONS.rule("GatherElements", "GatherND", "ReverseSequence")
def by_constant_index(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """Every source position is constant: gather rows."""
    data, index = node.inputs[0], array_of(node.inputs[1])
    if data is None or index is None or array_of(data) is not None:
        return None
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    try:
        positions = POSITIONS[node.op_type](numbered(data), index, attrs)
    except IndexError as error:
        raise outside(node, index) from error
    result = taken(builder, [data], np.asarray(positions, np.int64), str(node.name))
    return None if result is None else [result]


@DECOMPOSITIONS.rule("Gather")
def within(node: ir.Node, builder: FloatBuilder) -> None:
    """Constant indices must be within the axis: ONNX Runtime would only report it at run time."""
    index, shape = array_of(node.inputs[1]), shape_of(node.inputs[0])
    size = shape[node.attributes["axis"].as_int() if "axis" in node.attributes else 0]
    if index is not None and bool(((index < -size) | (index >= size)).any()):
        raise outside(node, index)


def outside(node: ir.Node, index: Positions) -> UnsupportedOpError:
    """An index outside of the data."""
    return UnsupportedOpError(
        f"an index from {index.min()} to {index.max()} is outside of a tensor of shape "
        f"{list(shape_of(node.inputs[0]))}",
        node=str(node.name),
        op=node.op_type,
        hint="correct the indices in the model",
    )


def elements(data: Positions, index: Positions, attrs: dict[str, int]) -> Positions:
    """ONNX GatherElements; the other axes of `index` may be shorter than the data's."""
    axis = attrs.get("axis", 0) % data.ndim
    part = data[tuple(slice(None) if a == axis else slice(s) for a, s in enumerate(index.shape))]
    size = data.shape[axis]
    if (index < -size).any() or (index >= size).any():
        raise IndexError
    return np.take_along_axis(part, index % size, axis)


def tuples(data: Positions, index: Positions, attrs: dict[str, int]) -> Positions:
    """ONNX GatherND."""
    batch = attrs.get("batch_dims", 0)
    lead = np.indices(index.shape[:-1], sparse=True)[:batch]
    place = (*lead, *np.moveaxis(index, -1, 0))
    found: Positions = data[place]
    return found


def _reversed(data: Positions, lengths: Positions, attrs: dict[str, int]) -> Positions:
    """ONNX ReverseSequence: the first `length` entries along time, for each batch."""
    time, batch = attrs.get("time_axis", 0), attrs.get("batch_axis", 1)
    rows = np.moveaxis(data, (batch, time), (0, 1)).copy()
    for row, length in zip(rows, lengths, strict=True):
        row[: int(length)] = row[: int(length)][::-1].copy()
    return np.moveaxis(rows, (0, 1), (batch, time))


POSITIONS = {
    "GatherElements": elements,
    "GatherND": tuples,
    "ReverseSequence": _reversed,
}
