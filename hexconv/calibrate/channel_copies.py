"""Large channels of streams, given several times: each copy is rounded at another place.

A channel that was scaled down by 64 is rounded in steps 64 times as large as before. As n copies,
whose rows of the weights that read them are W / n, the function is what it was. A copy that is
moved by part of a step rounds otherwise than the others; what copies are moved by adds up to 0, and
the mean of n roundings has a n-th of the noise (dither; Lipshitz et al. 1992, JAES 40 (5)). Large
rows of weights are split as well then (split_rows.py).

All tensors that sums, gammas and factors of rows connect have the copies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.calibrate.changes import Use, replace_each
from hexconv.calibrate.channel_groups import Floats
from hexconv.calibrate.copied_columns import CopiedColumns
from hexconv.calibrate.linears import weights_of
from hexconv.calibrate.stream_groups import reduces_last_axis
from hexconv.onnx_graph.builder import FloatBuilder, array_of, row_of, shape_of
from hexconv.onnx_graph.rewrites.match import made_by, read_once
from hexconv.quantize.ranges import LEVELS

NAME = "/copied"
WORTH = 4.0
"""How much larger than the others the largest channel was."""
SPAN = 2.0
"""Steps that the copies of a channel are spread over."""


@dataclass(frozen=True, eq=False)
class ScaledStream:
    """Tensors whose channels were scaled.

    Attributes:
        values: the tensors.
        factors: (channels,) at most 1.
        peak: the largest value of a channel, scaled.
    """

    values: Sequence[ir.Value]
    factors: Floats
    peak: float


@dataclass(eq=False)
class Region:
    """Tensors that have the copies.

    Attributes:
        channels: of each, without copies.
        values: the tensors.
        writers: products with constant weights that compute one of them.
        readers: products with constant weights that read one of them.
        means: nodes that reduce the channels.
        rows: constants with a number for each channel.
        entries: inputs of nodes of the region that have no copies.
        exits: inputs of other nodes that are tensors of the region.
    """

    channels: int
    values: dict[ir.Value, None] = field(default_factory=dict)
    writers: dict[ir.Node, None] = field(default_factory=dict)
    readers: dict[ir.Node, None] = field(default_factory=dict)
    means: dict[ir.Node, None] = field(default_factory=dict)
    rows: dict[Use, None] = field(default_factory=dict)
    entries: dict[Use, None] = field(default_factory=dict)
    exits: dict[Use, None] = field(default_factory=dict)


def copy_channels(
    streams: Sequence[ScaledStream], builder: FloatBuilder, without: Collection[ir.Value] = ()
) -> set[ir.Value]:
    """Give the largest channels of streams in copies.

    Args:
        streams: that were scaled; the graph is changed in place.
        builder: of the graph.
        without: tensors that are to have none.

    Returns:
        The tensors that have copies now.
    """
    done: set[ir.Value] = set()
    scales = {value: stream for stream in streams for value in stream.values}
    for stream in streams:
        if stream.factors.min() > 1.0 / WORTH or not done.isdisjoint(stream.values):
            continue
        region = _Walk(stream.factors.size, without).reach(stream.values)
        inside = dict.fromkeys(scales[value] for value in region.values if value in scales)
        sizes = np.max([1.0 / item.factors for item in inside], axis=0)
        columns = CopiedColumns.of(np.where(sizes > 1.0, sizes, 0.0))
        _copy(region, columns, scales, builder)
        done.update(region.values)
    return done


class _Walk:
    """Reaches every tensor that has the copies with some.

    Args:
        channels: of each.
        without: tensors that have none.
    """

    def __init__(self, channels: int, without: Collection[ir.Value]) -> None:
        self._region, self._without = Region(channels), without

    def reach(self, first: Sequence[ir.Value]) -> Region:
        """The region of some tensors."""
        pending = [value for value in first if self._is_member(value)]
        while pending:
            value = pending.pop()
            if value not in self._region.values:
                self._region.values[value] = None
                pending += [*self._before(value), *self._behind(value)]
        return self._region

    def _is_member(self, value: ir.Value) -> bool:
        """Whether a tensor can have copies where it is computed."""
        node = value.producer()
        if node is None or value.is_graph_output() or not self._is_wide(value):
            return False
        if value in self._without:
            return False
        return weights_of(node) is not None or self._keeps_channels(node)

    def _is_wide(self, value: ir.Value | None) -> bool:
        shape = shape_of(value)
        return len(shape) > 1 and shape[-1] == self._region.channels

    def _keeps_channels(self, node: ir.Node) -> bool:
        """Whether a node computes each channel of its own: a sum, a square, a multiple."""
        if node.domain or len(node.outputs) != 1 or array_of(node.inputs[0]) is not None:
            return False
        if node.op_type == "Clip":
            return node.inputs[0] is not None and _is_square(node.inputs[0].producer())
        if node.op_type == "Mul":
            left, right = node.inputs
            wide = self._is_wide(left) and self._is_wide(right)
            return not wide or left is right or array_of(right) is not None
        return node.op_type in ("Add", "Sub")

    def _before(self, value: ir.Value) -> Iterator[ir.Value]:
        """The members that a member is computed of."""
        node = value.producer()
        assert node is not None
        if node.op_type == "MatMul":
            self._region.writers[node] = None
            return
        for position, item in enumerate(node.inputs):
            if item is None or not shape_of(item) or shape_of(item)[-1] != self._region.channels:
                continue
            if array_of(item) is not None:
                self._region.rows[node, position] = None
            elif self._is_member(item):
                yield item
            else:
                self._region.entries[node, position] = None

    def _behind(self, value: ir.Value) -> Iterator[ir.Value]:
        """The members that are computed of a member."""
        for node, position in value.uses():
            if weights_of(node) is not None and position == 0:
                self._region.readers[node] = None
            elif node.op_type in ("ReduceMean", "ReduceSum") and reduces_last_axis(node):
                self._region.means[node] = None
            elif self._keeps_channels(node) and self._is_member(node.outputs[0]):
                yield node.outputs[0]
            else:
                self._region.exits[node, position] = None


def _is_square(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == "Mul" and node.inputs[0] is node.inputs[1]


def _copy(
    region: Region,
    columns: CopiedColumns,
    scales: Mapping[ir.Value, ScaledStream],
    builder: FloatBuilder,
) -> None:
    for value in region.values:
        value.shape = ir.Shape((*shape_of(value)[:-1], columns.channels.size))
    for node in region.writers:
        builder.change_const(node, 1, columns.written(_constant(node, 1)), NAME)
    moves = _moves(region, columns, scales)
    for use in region.rows:
        row = columns.repeated(_constant(*use)) + moves.get(use, 0.0)
        builder.change_const(*use, np.asarray(row, np.float32), NAME)
    for node in region.readers:
        exact = _constant(node, 1).astype(np.float64)
        builder.change_const(node, 1, _read(node, exact, columns), NAME)
    for node in region.means:
        share = 1.0 / region.channels if node.op_type == "ReduceMean" else 1.0
        column = _read(node, np.full((region.channels, 1), share), columns)
        builder.replace(node, [builder.at(node).op("MatMul", [node.inputs[0], column])])
    replace_each(region.entries, builder, lambda value: columns.appended(value, builder, NAME))
    _move_joined(region, columns, scales, builder)
    for node, position in region.exits:
        value, gamma = _unscaled(node.inputs[position], region)
        weights = columns.read(np.diag(gamma))
        node.replace_input_with(position, builder.at(node).op("MatMul", [value, weights]))
    for value in region.values:
        if value not in scales:
            # Different values under the old name would compare, and calibrate, incorrectly.
            value.name = builder.fresh(f"{value.name}{NAME}")


def _read(node: ir.Node, weights: Floats, columns: CopiedColumns) -> npt.NDArray[np.float32]:
    """The weights of a node that reads copies: their mean, of squares the one that is not moved."""
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if maker is not None and maker.op_type == "Clip" and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return columns.read_first(weights) if _is_square(maker) else columns.read(weights)


def _moves(
    region: Region, columns: CopiedColumns, scales: Mapping[ir.Value, ScaledStream]
) -> dict[Use, Floats]:
    """What copies are moved by, (columns,), in the biases of what products compute."""
    found = {}
    for number, node in enumerate(region.writers):
        for add, position in node.outputs[0].uses():
            use, stream = (add, 1 - position), scales.get(add.outputs[0])
            if add.op_type == "Add" and use in region.rows and stream is not None:
                found[use] = _places(number, columns, stream)
    return found


def _places(number: int, columns: CopiedColumns, stream: ScaledStream) -> Floats:
    """(columns,) what copies are moved by, in the order of that number."""
    return columns.places(number) * SPAN * 2.0 * stream.peak / LEVELS


def _move_joined(
    region: Region,
    columns: CopiedColumns,
    scales: Mapping[ir.Value, ScaledStream],
    builder: FloatBuilder,
) -> None:
    """Move the copies of what joins the region multiplied: the product is rounded once more."""
    for number, node in enumerate([*_of_joined(region, builder.graph)], len(region.writers)):
        uses = list(node.outputs[0].uses())
        stream = next((scales[v] for use in uses if (v := use.node.outputs[0]) in scales), None)
        if stream is not None:
            row = np.asarray(_places(number, columns, stream), np.float32)
            _move(uses, row, builder)


def _move(uses: Sequence[Use], row: npt.NDArray[np.float32], builder: FloatBuilder) -> None:
    replace_each(uses, builder, lambda value: builder.op("Add", [value, row]))


def _of_joined(region: Region, graph: ir.Graph) -> Iterator[ir.Node]:
    """The multiples of tensors whose copies are all of what joins the region, and not moved."""
    moved = set(region.values)
    for node in graph:
        wide = [item for item in node.inputs if item is not None and item in region.values]
        if node.outputs[0] in moved and node not in region.writers and moved.isdisjoint(wide):
            moved.remove(node.outputs[0])
            if node.op_type == "Mul" and (node, 1) in region.rows:
                yield node


def _unscaled(value: ir.Value | None, region: Region) -> tuple[ir.Value, Floats]:
    """What a tensor is a multiple of, by channel, and the factors, where nobody else reads it."""
    assert value is not None
    node = made_by(value, "Mul")
    row = row_of(node.inputs[1], shape_of(value)[-1]) if node is not None else None
    if node is None or row is None or node.inputs[0] is None or not read_once(value):
        return value, np.ones(region.channels)
    return node.inputs[0], row[: region.channels]


def _constant(node: ir.Node, position: int) -> npt.NDArray[np.float32]:
    array = array_of(node.inputs[position])
    assert array is not None
    return array
