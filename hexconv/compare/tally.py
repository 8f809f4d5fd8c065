"""What was measured of each tensor so far, and the figures made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hexconv.arrays import Array, FloatArray
from hexconv.compare.code_sums import Codes, CodeSums, code_sums
from hexconv.compare.eight_bits import OutputPart
from hexconv.compare.metrics import Metrics, Totals
from hexconv.compare.quantized import RangeFit, RangeTotals, Scale, fit_sums, values_of
from hexconv.compare.user_metrics import Kept


@dataclass(frozen=True)
class Figures:
    """One tensor over a set of samples.

    Attributes:
        own: error of its node fed with the float model's inputs.
        accumulated: error in the running model; None where the device cannot return the tensor.
        fit: how well its range fits; None for tensors that are not uint8.
    """

    own: Metrics
    accumulated: Metrics | None
    fit: RangeFit | None


@dataclass(frozen=True)
class PartFigures:
    """One tensor that is joined with others into an output.

    Attributes:
        tensor: its name.
        metrics: of its elements.
        values: how many different numbers the quantized model gives for them.
    """

    tensor: str
    metrics: Metrics
    values: int


@dataclass(frozen=True)
class Measured:
    """The results of a set of samples: by output, and by shared tensor.

    Attributes:
        kept: of each sample in order, if asked for.
        parts: of outputs that a Concat makes.
    """

    outputs: Mapping[str, Metrics]
    tensors: Mapping[str, Figures]
    kept: Sequence[Kept] = ()
    parts: Mapping[str, Sequence[PartFigures]] = field(default_factory=dict)


class PartTally:
    """The elements of one part of an output."""

    def __init__(self, part: OutputPart) -> None:
        self._part, self.total, self._values = part, Totals(part.tensor), set[float]()

    def add(self, expected: Array, returned: Array) -> None:
        """One sample of the output."""
        self.total.add(expected[self._part.where], returned[self._part.where])
        self._values.update(np.unique(returned[self._part.where]).tolist())

    def merge(self, other: PartTally) -> None:
        """Add what another one has accumulated."""
        self.total.merge(other.total)
        self._values |= other._values

    def result(self) -> PartFigures | None:
        """The figures; None before the first sample."""
        found = self.total.result()
        return None if found is None else PartFigures(self._part.tensor, found, len(self._values))


@dataclass
class TensorTally:
    """One shared tensor: see `Figures`."""

    own: Totals
    accumulated: Totals
    fit: RangeTotals

    def add(
        self, expected: FloatArray, running: Sequence[Array] | None, own: Sequence[Array]
    ) -> Array:
        """One sample.

        Args:
            expected: the float model's values.
            running: raw outputs of the node in the running model; None if they are not known.
            own: those of the node fed with the float model's values.

        Returns:
            The data that represent the float model's values in the place of `own`.

        Raises:
            ModelError: a value is NaN or infinite.
        """
        mine, theirs = Scale.of(own), None if running is None else Scale.of(running)
        if mine is not None and mine.dtype == "uint8" and expected.size:
            other = None if running is None or theirs is None else Codes(running[0], theirs)
            sums = code_sums(expected, other, Codes(own[0], mine))
            if sums is not None:
                return self._add_sums(sums, expected.size, mine)
        expected = np.ascontiguousarray(expected)
        if running is not None:
            self.accumulated.add(expected, values_of(running))
        self.own.add(expected, values_of(own))
        if mine is None:
            return expected
        codes = mine.codes(expected)
        if mine.dtype == "uint8":
            self.fit.add(fit_sums(expected, codes, mine), mine)
        return codes

    def _add_sums(self, sums: CodeSums, elements: int, scale: Scale) -> Array:
        if sums.running is not None:
            self.accumulated.add_sums(sums.running, elements)
        self.own.add_sums(sums.own, elements)
        self.fit.add(sums.fit, scale)
        return sums.nearest

    def merge(self, other: TensorTally) -> None:
        """Add what another one has accumulated."""
        self.own.merge(other.own)
        self.accumulated.merge(other.accumulated)
        self.fit.merge(other.fit)


class Tally:
    """Accumulates samples. Those of parts of the samples merge, in any order, to the same figures.

    Args:
        outputs: names of the model's outputs, and whether their last axis has class scores.
        tensors: names of the shared tensors.
        parts: of outputs that a Concat makes.

    Attributes:
        kept: by number of the sample, where a metric of the user's needs them.
    """

    def __init__(
        self,
        outputs: Mapping[str, bool],
        tensors: Iterable[str],
        parts: Mapping[str, Sequence[OutputPart]] | None = None,
    ) -> None:
        self.parts = {n: [PartTally(item) for item in found] for n, found in (parts or {}).items()}
        self.kept: dict[int, Kept] = {}
        self.outputs = {name: Totals(name, classes=classes) for name, classes in outputs.items()}
        self.tensors = {
            name: TensorTally(Totals(name), Totals(name), RangeTotals()) for name in tensors
        }

    def add_output(self, name: str, expected: Array, returned: Array) -> None:
        """One sample of an output."""
        self.outputs[name].add(expected, returned)
        for part in self.parts.get(name, ()):
            part.add(expected, returned)

    def begin(self, number: int) -> None:
        """The next sample has this number."""
        parts = [part.total for found in self.parts.values() for part in found]
        for output in (*self.outputs.values(), *parts):
            output.number = number
        for tensor in self.tensors.values():
            for total in (tensor.own, tensor.accumulated, tensor.fit):
                total.number = number

    def merge(self, other: Tally) -> None:
        """Add what another one has accumulated of the same model."""
        self.kept.update(other.kept)
        for name, total in self.outputs.items():
            total.merge(other.outputs[name])
        for name, parts in self.parts.items():
            for part, theirs in zip(parts, other.parts[name], strict=True):
                part.merge(theirs)
        for name, tensor in self.tensors.items():
            tensor.merge(other.tensors[name])

    def result(self) -> Measured:
        """The figures of all tensors of which there were samples."""
        finished = {name: total.result() for name, total in self.outputs.items()}
        tensors: dict[str, Figures] = {}
        for name, item in self.tensors.items():
            own = item.own.result()
            if own is not None:
                tensors[name] = Figures(own, item.accumulated.result(), item.fit.result())
        kept = [self.kept[number] for number in sorted(self.kept)]
        parts = {
            name: [figures for item in found if (figures := item.result()) is not None]
            for name, found in self.parts.items()
        }
        return Measured({n: m for n, m in finished.items() if m is not None}, tensors, kept, parts)
