"""What was measured of each tensor so far, and the figures made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hexconv.arrays import Array, FloatArray
from hexconv.compare.code_sums import Codes, CodeSums, code_sums
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
class Measured:
    """The results of a set of samples: by output, and by shared tensor.

    Attributes:
        kept: of each sample in order, if asked for.
    """

    outputs: Mapping[str, Metrics]
    tensors: Mapping[str, Figures]
    kept: Sequence[Kept] = ()


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

    Attributes:
        kept: by number of the sample, where a metric of the user's needs them.
    """

    def __init__(self, outputs: Mapping[str, bool], tensors: Iterable[str]) -> None:
        self.kept: dict[int, Kept] = {}
        self.outputs = {name: Totals(name, classes=classes) for name, classes in outputs.items()}
        self.tensors = {
            name: TensorTally(Totals(name), Totals(name), RangeTotals()) for name in tensors
        }

    def begin(self, number: int) -> None:
        """The next sample has this number."""
        for output in self.outputs.values():
            output.number = number
        for tensor in self.tensors.values():
            for total in (tensor.own, tensor.accumulated, tensor.fit):
                total.number = number

    def merge(self, other: Tally) -> None:
        """Add what another one has accumulated of the same model."""
        self.kept.update(other.kept)
        for name, total in self.outputs.items():
            total.merge(other.outputs[name])
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
        return Measured({n: m for n, m in finished.items() if m is not None}, tensors, kept)
