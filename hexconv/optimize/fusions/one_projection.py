"""Projections of one input whose heads move alike become one product, and move once.

As exported Q and V are each a Supernode, a conversion from d32, a Reshape to heads and a Transpose.
Side by side they are one of each, and a Split whose parts have the layout that attention needs. K
stays separate: attention needs it transposed, and transposing all its channels by time is cheaper
than doing so per head. The parts share a range, so each is scaled to fill it; its own range after
the Split undoes that.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import NO_NOTES, notes_of
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, shape_of
from hexconv.optimize.fusions.edit import DOMAIN, Inserter, insert_custom_op, only_reader, remove
from hexconv.optimize.registry import Stage, declined, rewrite
from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS, SMALLEST_STEP

COARSER = 2.0
"""Weights that share a range: how much wider than its own it may be for any part, one bit."""


@dataclass(frozen=True)
class Heads:
    """A Linear, the reshape of its channels into heads, and the order that attention reads.

    `shape` is that of the heads, the last but one axis their number and the last their width;
    `perm` is the Transpose after it; `factor` is what the result is multiplied by.
    """

    linear: ir.Node
    chain: tuple[ir.Node, ...]
    shape: tuple[int, ...]
    perm: tuple[int, ...]
    factor: float

    @property
    def result(self) -> ir.Value:
        """What attention reads."""
        return self.chain[-1].outputs[0]

    @property
    def count(self) -> int:
        """The number of heads."""
        return self.shape[-2]

    @property
    def alike(self) -> tuple[object, ...]:
        """The properties that merged projections must share: all but the number of heads."""
        return self.linear.inputs[0], self.shape[:-2], self.shape[-1], self.perm


@rewrite(Stage.FUSION)
def one_projection(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Linears of one input whose heads move alike (Q and V) are one, split after one transpose."""
    found: dict[tuple[object, ...], list[Heads]] = {}
    for node in graph.nodes:
        heads = _heads(node)
        if heads is not None:
            found.setdefault(heads.alike, []).append(heads)
    return sum(_joined(group, graph, observed) for group in found.values())


def _heads(linear: ir.Node) -> Heads | None:
    """The heads after a Linear; None where anything else reads a tensor in between."""
    if linear.op_type != "Linear" or notes_of(linear) != NO_NOTES:
        return None
    chain: list[ir.Node] = []
    shape, factor, current = None, 1.0, linear
    while (reader := only_reader(current.outputs[0])) is not None:
        chain.append(reader)
        current = reader
        if reader.op_type == "Rescale":
            factor *= reader.attributes["factor"].as_float()
        elif reader.op_type == "Reshape" and shape is None:
            shape = shape_of(reader.outputs[0])
            if not _splits_channels(shape_of(linear.outputs[0]), shape):
                return None
        elif reader.op_type == "Transpose" and shape is not None:
            attr = reader.attributes.get("perm")
            perm = tuple(attr.as_ints()) if attr else tuple(range(len(shape)))[::-1]
            return Heads(linear, tuple(chain), shape, perm, factor)
        else:
            return None
    return None


def _splits_channels(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a Reshape only splits the last axis in two."""
    rows = [[size for size in sizes if size != 1] for sizes in (before[:-1], after[:-2])]
    return len(after) > 2 and rows[0] == rows[1]


@dataclass(frozen=True)
class Scaled:
    """A projection whose range reaches one: multiplied by `scale`."""

    scale: float
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    bounds: Bounds


def _joined(group: list[Heads], graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Merge the projections into one; returns 1 if it was done."""
    scaled = [_scaled(heads.linear, observed) for heads in group]
    reaches = [float(np.abs(part.weights).max()) for part in scaled]
    if len(group) < 2:
        return 0
    if max(reaches) > COARSER * min(reaches):
        reason = f"their weights reach {min(reaches):.3g} to {max(reaches):.3g}: too far apart"
        declined("one_projection", group[0].linear.name, reason)
        return 0
    insert = Inserter(graph, group[0].linear, observed)
    parts = _split(_product(group[0].linear, scaled, insert), group, insert)
    for heads, item, part in zip(group, scaled, parts, strict=True):
        factor = heads.factor / item.scale
        insert_custom_op("Rescale", heads.linear, [part], heads.result, {"factor": factor})
    for heads in group:
        remove(*reversed(heads.chain), heads.linear)
    return 1


def _scaled(linear: ir.Node, observed: Mapping[str, Bounds]) -> Scaled:
    matrix, bias = (array_of(value) for value in linear.inputs[1:])
    assert matrix is not None and bias is not None  # a Linear has both constant
    low, high = observed[str(linear.outputs[0].name)]
    reach = max(abs(low), abs(high))
    scale = 1.0 / max(reach, SMALLEST_STEP * LEVELS) if reach else 1.0
    weights, offset = (np.asarray(array * scale, np.float32) for array in (matrix, bias))
    return Scaled(scale, weights, offset.reshape(-1), (low * scale, high * scale))


def _product(first: ir.Node, scaled: list[Scaled], insert: Inserter) -> ir.Value:
    """All projections side by side."""
    name = f"{first.name}/joined"
    lows, highs = zip(*(part.bounds for part in scaled), strict=True)
    insert.observed[name] = min(lows), max(highs)
    weights = np.concatenate([part.weights for part in scaled], axis=1)
    bias = np.concatenate([part.bias for part in scaled])
    operands = [first.inputs[0]]
    operands += [insert.const(f"{name}/weights", weights), insert.const(f"{name}/bias", bias)]
    shape = (*shape_of(first.outputs[0])[:-1], bias.size)
    return insert.node("Linear", operands, shape, name, domain=DOMAIN)


def _split(product: ir.Value, group: list[Heads], insert: Inserter) -> list[ir.Value]:
    """The heads of all projections, transposed at once, and split."""
    like, first = str(product.name), group[0]
    counts = [heads.count for heads in group]
    shape = (*first.shape[:-2], sum(counts), first.shape[-1])
    apart = insert.reshape(product, shape, like)
    moved = [shape[axis] for axis in first.perm]
    turned = insert.node("Transpose", [apart], moved, like, {"perm": list(first.perm)})
    return insert.split(turned, counts, first.perm.index(len(shape) - 2), like)
