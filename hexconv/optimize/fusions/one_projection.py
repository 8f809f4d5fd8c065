"""Q, K and V of one input are one product, whose heads move once.

As exported each projection is a Supernode, a conversion from d32, a Reshape to heads and a
Transpose. Side by side they are one of each, and a Split whose parts lie as attention wants them.
The parts share a range, so each is scaled to fill it; its own range undoes that: no bits are lost.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.build import array_of, shape_of
from hexconv.optimize.fusions.edit import DOMAIN, Inserter, only_reader, own_node, remove
from hexconv.optimize.registry import Bounds, Stage, rewrite

COARSER = 2.0
"""Weights that share a range: how much wider than its own it may be for any part, one bit."""


@dataclass(frozen=True)
class Heads:
    """A Linear, what turns its channels into heads, and the order in which attention reads them.

    `shape` is that of the heads, the last but one axis their number and the last their width;
    `perm` what the Transpose behind makes of it; `factor` what the result is multiplied by.
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
        """How many heads."""
        return self.shape[-2]

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape but for the number of heads: what all that are joined have in common."""
        return (*self.shape[:-2], self.shape[-1])

    @property
    def keeps_rows(self) -> bool:
        """Whether the width of a head stays innermost."""
        return self.perm[-1] == len(self.perm) - 1


@rewrite(Stage.FUSION)
def one_projection(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Linears of one input in front of attention heads are one, split behind one transpose."""
    found: dict[tuple[object, ...], list[Heads]] = {}
    for node in graph.nodes:
        heads = _heads(node)
        if heads is not None:
            found.setdefault((node.inputs[0], heads.rows), []).append(heads)
    return sum(_joined(group, graph, observed) for group in found.values())


def _heads(linear: ir.Node) -> Heads | None:
    """The heads behind a Linear; None where anything else reads what is between."""
    if linear.op_type != "Linear" or linear.meta:
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
    """Whether a Reshape only parts the last axis in two."""
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
    """Make the projections one; answers 1 if it was done."""
    perms = {heads.perm for heads in group if heads.keeps_rows}
    scaled = [_scaled(heads.linear, observed) for heads in group]
    reaches = [float(np.abs(part.weights).max()) for part in scaled]
    if len(group) < 2 or len(perms) != 1 or max(reaches) > COARSER * min(reaches):
        return 0
    perm = list(perms.pop())
    insert = Inserter(graph, group[0].linear, observed)
    parts = _split(_product(group[0].linear, scaled, insert), group, perm, insert)
    for heads, item, part in zip(group, scaled, parts, strict=True):
        turn = [perm.index(axis) for axis in heads.perm]
        if turn != sorted(turn):
            shape = shape_of(heads.result)
            part = insert.node("Transpose", [part], shape, str(part.name), {"perm": turn})
        factor = heads.factor / item.scale
        own_node("Rescale", heads.linear, [part], heads.result, {"factor": factor})
    for heads in group:
        remove(*reversed(heads.chain), heads.linear)
    return 1


def _scaled(linear: ir.Node, observed: Mapping[str, Bounds]) -> Scaled:
    matrix, bias = (array_of(value) for value in linear.inputs[1:])
    assert matrix is not None and bias is not None  # a Linear has both constant
    low, high = observed[str(linear.outputs[0].name)]
    scale = 1.0 / (max(abs(low), abs(high)) or 1.0)
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


def _split(
    product: ir.Value, group: list[Heads], perm: list[int], insert: Inserter
) -> list[ir.Value]:
    """The heads of all, moved to their places at once, and dealt out."""
    like = str(product.name)
    counts = [heads.count for heads in group]
    shape = [*group[0].shape[:-2], sum(counts), group[0].shape[-1]]
    apart = insert.reshape(product, shape, like)
    moved = insert.node("Transpose", [apart], [shape[axis] for axis in perm], like, {"perm": perm})
    return insert.split(moved, counts, perm.index(len(shape) - 2), like)
