"""What could be computed more precisely, and how much of the outputs' noise that would remove.

The noise of each tensor at the outputs is known by cause (`hexconv.compare.noise`). A tensor in
slices of its range is rounded to smaller steps, and what its chain rounded before it not at all; so
is a softmax in the range of its probabilities, and a sigmoid in that of its results. A sum of a
stream from all its terms has none of the roundings of the sums before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.softmax_rows import softmax_nodes
from hexconv.compare.noise import TensorNoise
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import shape_of
from hexconv.optimize.inner_slices import Chain, chains
from hexconv.optimize.output_slices import FEW_VALUES, MARGINS, sliceable
from hexconv.optimize.sums_at_once import LongSum, stream_ends
from hexconv.precision import Precision
from hexconv.quantize import Bounds
from hexconv.quantize.fixed_ranges import FIXED, SMALL, width_of
from hexconv.quantize.ranges import LEVELS

MOST_SLICES = 4
"""Of a tensor inside the model."""
OUTPUT_SLICES = ((2, 4), (4,))
"""Of an output of many values, and of few, whose ends are so far beyond that 2 gain little."""
NARROWER = 0.9
"""Of the range of fewer slices, that each of more has to have at most."""
LEAST_SHARE = 0.01
"""Of the noise, that a candidate removes at least."""
TINY = float(np.finfo(np.float32).tiny)
Rows = Mapping[str, TensorNoise]


@dataclass(frozen=True)
class InSlices:
    """A tensor in slices.

    Attributes:
        tensor: inside the model.
        count: of its slices.
        share: of the outputs' noise that this removes, 0 to 1, beyond fewer slices.
    """

    tensor: str
    count: int
    share: float

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"'{self.tensor}' in {self.count} slices"

    def added(self, precision: Precision) -> Precision:
        """What is computed more precisely with it."""
        return precision.sliced(self.tensor, self.count)


@dataclass(frozen=True)
class WrittenOut:
    """A Softmax in the range of its probabilities; the library's op rounds them in 0..1.

    Attributes:
        tensor: that it returns.
        share: of the outputs' noise that this removes, 0 to 1.
    """

    tensor: str
    share: float

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"the softmax '{self.tensor}' in the range of its probabilities"

    def added(self, precision: Precision) -> Precision:
        """What is computed more precisely with it."""
        return precision.with_softmax(self.tensor)


@dataclass(frozen=True)
class AtOnce:
    """A sum from all its terms, rounded once.

    Attributes:
        tensor: the sum.
        terms: how many there are.
        share: of the outputs' noise that this removes, 0 to 1.
    """

    tensor: str
    terms: int
    share: float

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"the {self.terms} terms of the sum '{self.tensor}' added up at once"

    def added(self, precision: Precision) -> Precision:
        """What is computed more precisely with it."""
        return precision.with_sum(self.tensor)


@dataclass(frozen=True)
class InOwnRange:
    """A Sigmoid or Tanh by a table of its results' range; the library's op rounds them in its own.

    Attributes:
        tensor: that it returns.
        share: of the outputs' noise that this removes, 0 to 1.
    """

    tensor: str
    share: float

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"'{self.tensor}' in the range of its values"

    def added(self, precision: Precision) -> Precision:
        """What is computed more precisely with it."""
        return precision.with_own_range(self.tensor)


@dataclass(frozen=True)
class OutputInSlices:
    """An output in slices, which the graph adds up in float.

    Attributes:
        output: of the model.
        count: of its slices.
        share: of the outputs' noise that this removes, 0 to 1, beyond fewer slices.
    """

    output: str
    count: int
    share: float

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"the output '{self.output}' in {self.count} slices, added up in float"

    def added(self, precision: Precision) -> Precision:
        """What is computed more precisely with it."""
        return precision.with_output(self.output, self.count)


Candidate = InSlices | WrittenOut | AtOnce | InOwnRange | OutputInSlices
"""One local change."""


def candidates(
    graph: FloatGraph,
    ranges: Mapping[str, Bounds],
    noise: Sequence[TensorNoise],
    sliced: Collection[str] = (),
) -> list[Sequence[Candidate]]:
    """The candidates, each list in the order in which they build on each other.

    Args:
        graph: the float model, as it is lowered.
        ranges: (min, max) of each tensor.
        noise: of each tensor.
        sliced: outputs that are in slices whatever is chosen.
    """
    rows = {row.tensor: row for row in noise}
    found: list[Sequence[Candidate]] = []
    found += [_slices(c, ranges, rows) for name, c in chains(graph).items() if name in ranges]
    found += [_softmax(node, ranges, rows) for node in softmax_nodes(graph)]
    found += [_sum(total, ranges, rows) for total in stream_ends(graph) if total.known(ranges)]
    found += [_in_own_range(node, ranges, rows) for node in graph.nodes if not node.domain]
    ends = sliceable(graph).difference(sliced)
    found += [_output(value, rows) for value in graph.graph.outputs if str(value.name) in ends]
    return [steps for steps in found if steps]


def _output(value: ir.Value, rows: Rows) -> list[OutputInSlices]:
    """An output in 2 slices, and in 4; their ends are beyond its range by a margin."""
    name, few = str(value.name), int(np.prod(shape_of(value))) < FEW_VALUES
    own, steps, removed = _rounding(rows.get(name)), list[OutputInSlices](), 0.0
    for count in OUTPUT_SLICES[few]:
        share = own * (1.0 - ((1.0 + 2.0 * MARGINS[few]) / count) ** 2)
        steps.append(OutputInSlices(name, count, share - removed))
        removed = share
    return steps if steps[0].share >= LEAST_SHARE else []


def _slices(chain: Chain, ranges: Mapping[str, Bounds], rows: Rows) -> list[InSlices]:
    """A chain's last tensor in 2 slices, in 3 and so on, while that removes something."""
    names = [str(value.name) for value in chain.values]
    bounds = ranges[chain.tensor]
    width = bounds[1] - bounds[0]
    inner = sum(_rounding(rows.get(name)) for name in names[:-1])
    inner -= _of_one_range(chain, ranges, rows)
    last, steps = _rounding(rows.get(names[-1])), list[InSlices]()
    removed, narrowest = 0.0, np.inf
    for count in range(2, MOST_SLICES + 1):
        parts = chain.split(bounds, count)
        if parts is None or parts[2] > NARROWER * narrowest:
            continue
        narrowest = parts[2]
        share = inner + last - (last or inner) * (narrowest / width) ** 2
        steps.append(InSlices(chain.tensor, count, share - removed))
        removed = share
    return steps if steps and steps[0].share >= LEAST_SHARE else []


def _of_one_range(chain: Chain, ranges: Mapping[str, Bounds], rows: Rows) -> float:
    """The share that rounding the terms of a sum in one range adds: they are concatenated."""
    names = [str(term.name) for term in chain.terms if str(term.name) in ranges]
    low = min((ranges[name][0] for name in names), default=0.0)
    high = max((ranges[name][1] for name in names), default=0.0)
    added = 0.0
    for name in names:
        width = _width(ranges[name])
        added += _rounding(rows.get(name)) * (((high - low) / width) ** 2 - 1.0)
    return added


def _softmax(node: ir.Node, ranges: Mapping[str, Bounds], rows: Rows) -> list[WrittenOut]:
    """A Softmax, whose steps are as narrow as its largest probability then."""
    name = str(node.outputs[0].name)
    largest = min(ranges.get(name, (0.0, 1.0))[1], 1.0)
    share = _rounding(rows.get(name)) * (1.0 - largest**2)
    return [WrittenOut(name, share)] if share >= LEAST_SHARE else []


def _sum(total: LongSum, ranges: Mapping[str, Bounds], rows: Rows) -> list[AtOnce]:
    """What the sums before it were rounded by, which is in it as its own rounding is."""
    own = _width(ranges[total.tensor])
    before = sum((_width(ranges[str(value.name)]) / own) ** 2 for value in total.inner)
    share = _rounding(rows.get(total.tensor)) * before
    for name, bounds in total.ranges(ranges).items():
        wider = (_width(bounds) / _width(ranges[name])) ** 2
        share -= _rounding(rows.get(name)) * (wider - 1.0)
    return [AtOnce(total.tensor, len(total.terms), share)] if share >= LEAST_SHARE else []


def _width(bounds: Bounds) -> float:
    return max(bounds[1] - bounds[0], TINY)


def _in_own_range(node: ir.Node, ranges: Mapping[str, Bounds], rows: Rows) -> list[InOwnRange]:
    """A Sigmoid or Tanh, whose steps are as narrow as its range then."""
    if node.op_type not in FIXED:
        return []
    name, fixed = str(node.outputs[0].name), LEVELS * FIXED[node.op_type].step
    width = width_of(ranges[name]) / fixed if name in ranges else 1.0
    share = _rounding(rows.get(name)) * (1.0 - min(width, 1.0) ** 2) if width >= SMALL else 0.0
    return [InOwnRange(name, share)] if share >= LEAST_SHARE else []


def _rounding(row: TensorNoise | None) -> float:
    """The share of rounding; all of a tensor's noise where it is not split by cause."""
    if row is None:
        return 0.0
    split = row.rounding + row.clipping + row.weights + row.arithmetic
    return row.share * (row.rounding if split else 1.0)
