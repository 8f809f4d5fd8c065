"""Norms over rows of unlike loudness: each row is brought near 1 before it is squared.

The variance of a row falls with the square of its loudness: where rows differ tenfold, 255 levels
of 0..largest have two left for the quiet ones. A row's peak has all levels that its values have.
Divided by it, coarsely, all rows have a variance of one size; what the coarse factor is wrong by
cancels, since the norm divides by the variance of what it scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import annotate
from hexconv.calibrate.changes import change_each
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.onnx_graph.selections import moved_from
from hexconv.quantize import Bounds, cover
from hexconv.quantize.ranges import LEVELS

SPREAD = 16.0
"""Ratio of the largest to the smallest mean square from which on rows are scaled first."""
SPREAD_OF_RUN = 5.0
"""The same of norms of a model's input: scaled in the range of a run, it is not rounded again."""
OFF = 1.3
"""By how much a row's coarse factor may be wrong at most: that of the loudest has 2 levels."""
QUIETEST = 2.0
"""Peak of the quietest row that calibration saw, in its root mean square: at least. Quieter rows
have the factor of this one, so that the loudest have more levels of factors."""
NEAR, COARSEST = 128.0, 12.0
"""Ratio of peaks up to which a model's input is multiplied in the range of each run, where another
range would round it a second time; and the ratio of its factors then: any run fits, up to ten times
as loud as calibration (lowering/range_limits)."""
WIDER = 1.15
"""Widths of the range that x has in a run over which x - mean(x) may spread, in all runs together,
where it has the levels of x: it is clipped at one width."""
WIDER_ALONE = 1.06
"""The same of an input that is one row: what is clipped is a large part of it."""
LARGEST = 64.0
"""Squared ratio of a row's peak to its root mean square that has levels, if it was not measured."""
FELT = 1e-2
"""Share of a silent row's squared peak up to which epsilon changes nothing."""
SILENT = 3.0
"""Peak of a row, in roots of epsilon, below which epsilon counts."""


@dataclass(frozen=True)
class Norm:
    """x / sqrt(mean or sum of squares + epsilon), as nodes.

    Attributes:
        square: x * x.
        reduced: the mean or sum.
        epsilon: added to it.
        factor: the reciprocal of the root.
        products: the nodes that multiply x with it.
    """

    square: ir.Node
    reduced: ir.Node
    epsilon: float
    factor: ir.Node
    products: tuple[ir.Node, ...]

    @property
    def source(self) -> ir.Value:
        """What is normalized."""
        value = self.square.inputs[0]
        assert value is not None
        return value


def unlike_rows(graph: FloatGraph, observed: Mapping[str, Bounds]) -> tuple[dict[str, Bounds], int]:
    """Scale the rows of norms whose mean squares differ by more than 255 levels can tell apart.

    Args:
        graph: changed in place.
        observed: (min, max) of each value.

    Returns:
        The ranges, with those of the new values, and how many norms were changed.
    """
    ranges = dict(observed)
    norms = [norm for node in graph.nodes if (norm := norm_of(node)) and is_unlike(norm, ranges)]
    count = change_each(graph, norms, lambda norm, builder: _scale(norm, builder, ranges))
    return ranges, count


def is_unlike(norm: Norm, ranges: Mapping[str, Bounds]) -> bool:
    """Whether its rows' mean squares differ by more than 255 levels can tell apart."""
    low, high = ranges.get(str(norm.reduced.outputs[0].name), (1.0, 1.0))
    by_run = of_run(norm.source) or _in_one_width(norm, ranges)
    spread = SPREAD_OF_RUN if by_run else SPREAD
    return high > spread * max(low + norm.epsilon, 0.0) and str(norm.source.name) in ranges


def norm_of(square: ir.Node) -> Norm | None:
    """The norm that starts with a square; None where it is none."""
    if not _is_square(square):
        return None
    reduced = _reader(square, "ReduceMean", "ReduceSum")
    if reduced is None or not reduced.attributes.get_int("keepdims", 1):
        return None
    node, epsilon = reduced, 0.0
    added = _reader(node, "Add")
    if added is not None:
        numbers = [array for value in added.inputs if (array := array_of(value)) is not None]
        if len(numbers) != 1 or numbers[0].size != 1:
            return None
        node, epsilon = added, float(numbers[0].reshape(-1)[0])
    root = _reader(node, "Sqrt")
    factor = None if root is None else _reader(_held(root), "Reciprocal")
    if factor is None or factor.outputs[0].is_graph_output():
        return None
    products = tuple(use.node for use in factor.outputs[0].uses())
    source = square.inputs[0]
    if any(node.op_type != "Mul" or source not in node.inputs for node in products):
        return None
    return Norm(square, reduced, epsilon, factor, products) if epsilon >= 0.0 else None


def _is_square(node: ir.Node) -> bool:
    if node.domain or len(node.inputs) != 2:
        return False
    exponent = array_of(node.inputs[1])
    square = exponent is not None and exponent.size == 1 and float(exponent.reshape(-1)[0]) == 2.0
    return (node.op_type == "Mul" and node.inputs[0] is node.inputs[1]) or (
        node.op_type == "Pow" and square
    )


def _reader(node: ir.Node, *ops: str) -> ir.Node | None:
    """The one reader of a node's result that is one of these ops: others keep what they read."""
    readers = [use.node for use in node.outputs[0].uses()]
    found = [reader for reader in readers if reader.op_type in ops and not reader.domain]
    return found[0] if len(found) == 1 else None


def _held(root: ir.Node) -> ir.Node:
    """The node behind a root that keeps it above a small constant, or the root."""
    held = _reader(root, "Max", "Clip", "Add")
    constants = [] if held is None else [array_of(value) for value in held.inputs if value]
    if held is None or sum(array is None for array in constants) > 1:
        return root
    return held


def _scale(norm: Norm, builder: FloatBuilder, ranges: dict[str, Bounds]) -> None:
    """Replace a norm's nodes."""
    axes = norm.reduced.inputs[1] if len(norm.reduced.inputs) > 1 else None
    source, subtracts, by_run = _scaled_first(norm, builder, ranges)
    low, high = ranges[str(source.name)]
    peak, silence = max(high, -low), _silence(norm, source, ranges)
    quietest = silence
    if by_run := by_run and peak <= NEAR * silence:
        silence = max(silence, peak / COARSEST)
    off = min(OFF, 1.0 + (1 + by_run) * peak / (LEVELS * silence))
    make = _Maker(builder.at(norm.square), ranges)
    top = make.op("ReduceMax", [source, axes], (low, high))
    bottom = make.op("ReduceMin", [source, axes], (low, high))
    largest = make.op("Max", [top, make.op("Neg", [bottom], (-high, -low))], (0.0, peak))
    heard = make.op("Max", [largest, np.float32(silence)], (0.0, peak))
    coarse = make.op("Reciprocal", [heard], (-1.0 / silence if by_run else 0.0, 1.0 / silence))
    scaled = make.op("Mul", [source, coarse], (-off, off))
    around, apart = (-0.5 / off, 0.5 / off), (-1.0, 1.0)
    if subtracts:
        if source is not norm.source:
            around, apart = ranges[mean_name(norm.source)], ranges[peak_name(norm.source)]
        middle = make.op("ReduceMean", [scaled, axes], _times(around, off))
        scaled = make.op("Sub", [scaled, middle], _times(apart, off))
    square = make.op("Mul", [scaled, scaled], (0.0, (off * max(-apart[0], apart[1])) ** 2))
    row = prod(shape_of(norm.source)) / prod(shape_of(norm.reduced.outputs[0]))
    smallest = 1.0 / row if source is norm.source else ranges[squares_name(norm.source)][0]
    most = row if norm.reduced.op_type == "ReduceSum" else 1.0
    total = make.op(norm.reduced.op_type, [square, axes], (0.0, most), off * off)
    if norm.epsilon > FELT * silence * silence:
        silent = make.op("Mul", [coarse, coarse], (0.0, silence**-2))
        felt = make.op("Mul", [silent, np.float32(norm.epsilon)], (0.0, norm.epsilon / silence**2))
        total = make.op("Add", [total, felt], (0.0, most), off * off)
    else:  # A row of one value, such as a silent one, has a factor too.
        least = most * smallest * (quietest / silence / off) ** 2
        total = make.op("Clip", [total, np.float32(least)], (least, most), off * off)
    root = make.op("Sqrt", [total], (0.0, sqrt(most)), off)
    factor = make.op("Reciprocal", [root], (0.0, sqrt(LARGEST / most)), off)
    for product in norm.products:
        builder.at(product)
        builder.replace(product, [builder.op("Mul", [scaled, factor], name=str(product.name))])


def _scaled_first(
    norm: Norm, builder: FloatBuilder, ranges: dict[str, Bounds]
) -> tuple[ir.Value, bool, bool]:
    """What is scaled: a model's input before its mean is subtracted, since each range rounds it.

    Returns:
        The value, whether its mean is to be subtracted then, and whether a run decides its range.
    """
    value = centered(norm)
    if of_run(norm.source):
        return norm.source, False, True
    if value is not None and of_run(value):
        if _in_levels_of_run(norm, value, ranges):
            return norm.source, True, True
        if _even_beside_peaks(norm, ranges):
            return value, True, True
    return norm.source, _on_one_grid(norm, builder, ranges), False


def of_run(value: ir.Value) -> bool:
    """Whether a value is an input of the model, in whatever shape."""
    *_, source = moved_from(value)
    return source.is_graph_input()


def _silence(norm: Norm, source: ir.Value, ranges: Mapping[str, Bounds]) -> float:
    """The peak from which on rows have a factor of their own."""
    low, high = ranges[str(source.name)]
    least = max(ranges.get(heard_name(norm), ranges[str(norm.reduced.outputs[0].name)])[0], 0.0)
    if norm.reduced.op_type == "ReduceSum":
        least *= prod(shape_of(norm.reduced.outputs[0])) / prod(shape_of(norm.source))
    return max((high - low) / LEVELS, SILENT * sqrt(norm.epsilon), QUIETEST * sqrt(least))


def span_name(difference: ir.Value) -> str:
    """Of x - mean(x) in widths of the range that x has in a run (level_spans.py)."""
    return f"{difference.name}/span"


def heard_name(norm: Norm) -> str:
    """Of the rows' mean squares, those of silent rows left out (level_spans.py)."""
    return f"{norm.reduced.outputs[0].name}/heard"


def peak_name(difference: ir.Value) -> str:
    """Of x - mean(x) in peaks of its row of x (level_spans.py)."""
    return f"{difference.name}/of_peak"


def mean_name(difference: ir.Value) -> str:
    """Of mean(x) in the same peaks."""
    return f"{difference.name}/mean_of_peak"


def squares_name(difference: ir.Value) -> str:
    """Of the mean square of what `peak_name` names."""
    return f"{difference.name}/squares_of_peak"


def centered(norm: Norm) -> ir.Value | None:
    """x, where x - mean(x) is what is normalized."""
    node = norm.source.producer()
    if node is None or node.op_type != "Sub":
        return None
    value, middle = node.inputs
    mean = None if middle is None else middle.producer()
    if mean is None or mean.op_type != "ReduceMean" or mean.inputs[0] is not value:
        return None
    return value


def _in_levels_of_run(norm: Norm, value: ir.Value, ranges: dict[str, Bounds]) -> bool:
    """Let x - mean(x) have the levels of x in each run: a range as wide, around another zero.

    What the mean was rounded by is subtracted once the row is scaled.
    """
    node, name = norm.source.producer(), str(norm.source.name)
    middle = None if node is None else node.inputs[1]
    mean = None if middle is None else middle.producer()
    if node is None or mean is None or not {name, str(value.name)} <= ranges.keys():
        return False
    whole, span = cover(*ranges[str(value.name)]), span_name(norm.source)
    if not read_once(mean.outputs[0]) or not _in_one_width(norm, ranges):
        return False
    low, high = ranges[span]
    zero = round(-low / (high - low) * LEVELS)
    annotate(node, grid_zero=zero)
    annotate(mean, grid_zero=whole.zero)
    ranges[name] = -zero * whole.step, (LEVELS - zero) * whole.step
    return True


def _in_one_width(norm: Norm, ranges: Mapping[str, Bounds]) -> bool:
    """Whether x - mean(x) of a model's input fits into a range as wide as that of x in each run.

    What else reads it has it in full: such a range clips it.
    """
    value = centered(norm)
    if value is None or not of_run(value) or not _read_by_norm_alone(norm):
        return False
    low, high = ranges.get(span_name(norm.source), (0.0, 0.0))
    alone = prod(shape_of(norm.reduced.outputs[0])) == 1
    return 0.0 < high - low <= (WIDER_ALONE if alone else WIDER)


def _read_by_norm_alone(norm: Norm) -> bool:
    """Whether nothing else reads what is normalized, or what is computed from it up to its root."""
    readers = {use.node for use in norm.source.uses()}
    if norm.source.is_graph_output() or not readers <= {norm.square, *norm.products}:
        return False
    node: ir.Node | None = norm.factor
    while node is not None and node is not norm.square:
        value = next(item for item in node.inputs if item is not None and array_of(item) is None)
        if not read_once(value):
            return False
        node = value.producer()
    return True


def _even_beside_peaks(norm: Norm, ranges: Mapping[str, Bounds]) -> bool:
    """Whether rows of x over their peaks have like variances: no row is far from zero."""
    low, high = ranges.get(squares_name(norm.source), (0.0, 0.0))
    return (
        0.0 < high <= SPREAD * low
        and {peak_name(norm.source), mean_name(norm.source)} <= ranges.keys()
    )


def _on_one_grid(norm: Norm, builder: FloatBuilder, ranges: dict[str, Bounds]) -> bool:
    """Let x - mean(x) keep the levels of x, if that is what is normalized: its mean is rounded.

    In a range of its own each difference would be rounded, by as much as a quiet row's levels are
    apart. What the mean was rounded by is subtracted once the row is scaled.
    """
    node = norm.source.producer()
    if centered(norm) is None or node is None:
        return False
    items = (*node.inputs, norm.source)
    names = [str(item.name) for item in items if item is not None]
    if any(name not in ranges for name in names):
        return False
    whole = min(ranges[name][0] for name in names), max(ranges[name][1] for name in names)
    names[1] = _own_mean(node, builder)
    ranges.update(dict.fromkeys(names, whole))
    return True


def _own_mean(difference: ir.Node, builder: FloatBuilder) -> str:
    """The name of the mean that is subtracted: one more of it if something else reads that."""
    middle = difference.inputs[1]
    mean = None if middle is None else middle.producer()
    assert middle is not None and mean is not None
    if not read_once(middle):
        attrs = {"keepdims": mean.attributes.get_int("keepdims", 1)}
        middle = builder.at(difference).op("ReduceMean", mean.inputs, attrs)
        difference.replace_input_with(1, middle)
    return str(middle.name)


def _times(bounds: Bounds, factor: float) -> Bounds:
    """Bounds of what is multiplied with a factor above 0."""
    return bounds[0] * factor, bounds[1] * factor


@dataclass(frozen=True)
class _Maker:
    """Makes nodes and gives their values ranges."""

    builder: FloatBuilder
    ranges: dict[str, Bounds]

    def op(
        self,
        op: str,
        inputs: Sequence[ir.Value | npt.ArrayLike | None],
        bounds: Bounds,
        wider: float = 0.0,
    ) -> ir.Value:
        """One node.

        Args:
            op: its type.
            inputs: of the node.
            bounds: that its values may have.
            wider: by how much they may be larger than calibration saw; 0: as `bounds` says.
        """
        value = self.builder.op(op, inputs, {"keepdims": 1} if op.startswith("Reduce") else {})
        seen = self.ranges.get(str(value.name), bounds) if wider else bounds
        self.ranges[str(value.name)] = (0.0, seen[1] * wider) if wider else bounds
        return value
