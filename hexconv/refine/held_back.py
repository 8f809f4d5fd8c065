"""Samples that are held back from calibration, and what a model scores on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice, pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.calibrate import read_samples
from hexconv.compare.metrics import decibels
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.settings import Settings
from hexconv.simulator import Simulator
from hexconv.tensor_ranges import Samples

Sample = Mapping[str, Array]
FloatArray = npt.NDArray[np.float64]
Run = Callable[[Sample], Mapping[str, Array]]
Finish = Callable[[Mapping[str, Array]], Mapping[str, Array]]

MOST = 64
"""Samples that are used: all of them are in memory."""
FOLDS = 4
"""Parts of the samples; each is judged by models that were fitted on the others."""
FOLD_ERRORS = 2.35
"""As `ERRORS`, by which the mean of the folds' gains is above 0 (95 %)."""
LEAST_JUDGED = 4
"""Samples from which on a gain can be told."""
TINY = float(np.finfo(np.float64).tiny)
EXACT = 1e-12
"""Of the signal: noise below it is none, or one output would count for all."""
SILENT = 1e-3
"""Of the mean signal: a sample below it has next to no noise of the whole, and tells nothing."""
LEAST_HEARD = 3
"""Held-back samples that are not silent, from which on a gain can be told."""
LEAST = 12
"""Samples from which on some are held back: each model is fitted on 9 of them, or more."""
ERRORS = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}
"""Standard errors of its mean by which a gain is above 0, by the number of samples.

Student's t distribution (97.5 %): 1.96 of a known deviation, more for one that is estimated.
"""
NORMAL = 1.96
"""The same for a known deviation."""


def first_samples(
    samples: Samples | None, graph: FloatGraph, settings: Settings
) -> list[Mapping[str, Any]]:
    """The first samples, all in memory.

    Raises:
        ConfigError: there are none.
    """
    if samples is None:
        raise ConfigError(
            "--accuracy high needs samples",
            why="it measures what each step gains on them",
            hint="give --samples, or use --accuracy default",
        )
    return list(islice(read_samples(samples, graph, settings.data_formats), MOST))


def too_few(count: int) -> str:
    """The warning that `count` samples are not enough."""
    return (
        f"--accuracy high had no effect: of {count} samples too few can be held back "
        f"to decide on; give {LEAST} or more"
    )


def folds(samples: Sequence[Sample]) -> list[tuple[list[Sample], list[Sample]]]:
    """For each fold, samples to fit a model on, and those to judge it by.

    A fold has samples that follow each other: they may be parts of one recording, and say little
    of others then.

    Raises:
        ConfigError: there are fewer than 2.
    """
    if len(samples) < 2:
        raise ConfigError(
            "--accuracy high needs 2 samples or more",
            why="it keeps only what helps on samples that it holds back from calibration",
            hint="give more --samples, 16 or more if possible, or use --accuracy default",
        )
    ends = [number * len(samples) // FOLDS for number in range(FOLDS + 1)]
    return [([*samples[:a], *samples[b:]], list(samples[a:b])) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class Score:
    """What a model scored.

    Attributes:
        sqnr: over all samples, dB: the mean over the model's outputs.
        noise: of each sample, relative to the signal: the geometric mean over the outputs, so that
            a decibel of each counts alike, as it does in `sqnr`.
        silent: numbers of the samples that have next to no signal beside the others.
    """

    sqnr: float
    noise: tuple[float, ...]
    silent: tuple[int, ...] = ()

    def gains_over(self, other: Score) -> list[float]:
        """dB that each sample gains; silent ones left out."""
        pairs = zip(other.noise, self.noise, strict=True)
        heard = [pair for place, pair in enumerate(pairs) if place not in self.silent]
        return [0.0 if before == after else decibels(before, after) for before, after in heard]

    def beats(self, other: Score) -> bool:
        """Whether it is better by more than chance: the whole, and the samples on average.

        The gains of the samples, in dB, have to be above 0 by more than two standard errors of
        their mean, and more than half of them above 0. Fewer than 4 samples tell nothing, nor do
        fewer than 3 that are not silent.
        """
        gains = self.gains_over(other)
        few = len(self.noise) < LEAST_JUDGED or len(gains) < LEAST_HEARD
        if few or self.sqnr <= other.sqnr or 2 * sum(gain > 0.0 for gain in gains) <= len(gains):
            return False
        return bool(fmean(gains) > errors(len(gains)) * stdev(gains) / len(gains) ** 0.5)


def errors(count: int) -> float:
    """Standard errors by which the mean of some gains is above 0 (Student's t, 97.5 %)."""
    if count in ERRORS:
        return ERRORS[count]
    # The first terms of its expansion in powers of 1 / degrees of freedom.
    free, z = count - 1, NORMAL
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)


def agree(folds: Sequence[Sequence[float]]) -> bool:
    """Whether gains of folds, in dB, are above 0 by more than chance: models were fitted apart."""
    means = [fmean(gains) for gains in folds if gains]
    if len(means) < FOLDS:
        return False
    return bool(fmean(means) > FOLD_ERRORS * stdev(means) / len(means) ** 0.5)


def joined(scores: Sequence[Score]) -> Score:
    """The score on the samples of several folds: decibels are their mean."""
    noise = [number for score in scores for number in score.noise]
    starts = accumulate((len(score.noise) for score in scores), initial=0)
    silent = [start + n for start, score in zip(starts, scores, strict=False) for n in score.silent]
    return Score(fmean(score.sqnr for score in scores), tuple(noise), tuple(silent))


def least_better(count: int) -> int:
    """How many of some samples are three quarters of them."""
    return -(-3 * count // 4)


class Judge:
    """The score of models on some samples.

    Args:
        graph: the float model.
        samples: of it.
        library: that models are simulated for.
    """

    def __init__(
        self, graph: FloatGraph, samples: Sequence[Sample], library: LibraryVersion
    ) -> None:
        session = FloatSession(graph)
        self._samples, self._library = samples, library
        self._expected = [session.run(sample) for sample in samples]
        self._finish: Finish | None = None

    def behind(self, finish: Finish) -> Judge:
        """A judge of models whose outputs are finished by the application."""
        other = copy(self)
        other._finish = finish
        return other

    def score(self, model: Graph) -> Score:
        """Simulate a model on the samples."""
        return self.score_of(Simulator(model, self._library).run)

    def score_of(self, run: Run) -> Score:
        """The score of what `run` returns, by output, for the samples."""
        return self._scored([self._noise(run, place) for place in range(len(self._samples))])

    def compared(self, before: Graph, after: Graph) -> tuple[Score, Score]:
        """The scores of two models, on all samples if three quarters may be better with `after`.

        Otherwise on the first ones, up to that which tells.
        """
        runs = [Simulator(model, self._library).run for model in (before, after)]
        found: list[list[FloatArray]] = [[], []]
        worse, most = 0, len(self._samples) - least_better(len(self._samples))
        for place in range(len(self._samples)):
            old, new = (self._noise(run, place) for run in runs)
            found[0].append(old)
            found[1].append(new)
            relative = self._relative(np.stack([old, new]))
            worse += bool(relative[1] >= relative[0])
            if worse > most:
                break
        first, second = (self._scored(noise) for noise in found)
        return first, second

    def _noise(self, run: Run, place: int) -> FloatArray:
        """(outputs,) power of the error of one sample."""
        returned: Mapping[str, Array] = run(self._samples[place])
        returned = returned if self._finish is None else self._finish(returned)
        errors = [returned[name] - wanted for name, wanted in self._wanted(place)]
        return np.array([(error**2).sum() for error in errors])

    def _wanted(self, place: int) -> list[tuple[str, FloatArray]]:
        return [(name, array.astype(np.float64)) for name, array in self._expected[place].items()]

    @cached_property
    def _signal(self) -> FloatArray:
        """(samples, outputs) power."""
        rows = [self._wanted(place) for place in range(len(self._samples))]
        return np.array([[(array**2).sum() for _, array in row] for row in rows])

    @property
    def _totals(self) -> FloatArray:
        return np.asarray(np.maximum(self._signal.sum(axis=0), TINY))

    def _scored(self, found: Sequence[FloatArray]) -> Score:
        """The score of the noise of the first samples."""
        noise, signal = np.stack(found), self._signal[: len(found)]
        pairs = zip(signal.sum(axis=0), noise.sum(axis=0), strict=True)
        sqnr = fmean(decibels(float(x), float(n)) for x, n in pairs)
        loudness = (signal / np.maximum(signal.mean(axis=0), TINY)).max(axis=1)
        silent = tuple(int(place) for place in np.flatnonzero(loudness < SILENT))
        return Score(sqnr, tuple(map(float, self._relative(noise))), silent)

    def _relative(self, noise: FloatArray) -> FloatArray:
        """(rows,) of powers of errors (rows, outputs): relative to the signals."""
        parts = np.maximum(noise / self._totals, EXACT)
        return np.asarray(np.exp(np.log(parts).mean(axis=1)))
