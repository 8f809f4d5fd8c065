"""Samples that are held back from calibration, and what a model scores on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import islice, pairwise
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.calibrate import read_samples
from hexconv.compare.metrics import TINY, decibels
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.refine.logits import WithLogits, logits_of
from hexconv.refine.scores import FOLDS, Score, least_better
from hexconv.settings import Settings
from hexconv.tensor_ranges import Samples

Sample = Mapping[str, Array]
FloatArray = npt.NDArray[np.float64]
Run = Callable[[Sample], Mapping[str, Array]]
Finish = Callable[[Mapping[str, Array]], Mapping[str, Array]]

MOST = 64
"""Samples that are used: all of them are in memory."""
EXACT = 1e-12
"""Of the signal: noise below it is none, or one output would count for all."""
MOVED = 2.0
"""Levels, by which values of a sample are moved at most to have other roundings of it."""
SILENT = 1e-3
"""Of the mean signal: a sample below it has next to no noise of the whole, and tells nothing."""
LEAST = 12
"""Samples from which on some are held back: each model is fitted on 9 of them, or more."""


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


def _moved(sample: Sample, seed: tuple[int, int]) -> Sample:
    """A sample whose values are moved by up to two levels; zeros and the ends of its range stay."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name, array in sample.items():
        found[name] = array
        if array.dtype.kind != "f":
            continue
        low, high = array.min(initial=0.0), array.max(initial=0.0)
        reach = MOVED * (high - low) / 255.0
        inside = (array != 0) & (array != low) & (array != high)
        moved = np.clip(array + rng.uniform(-reach, reach, array.shape), low, high)
        found[name] = np.where(inside, moved, array).astype(array.dtype)
    return found


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
        self._samples, self._library, self._logits = samples, library, logits_of(graph)
        self._outputs = [str(value.name) for value in graph.graph.outputs]
        logits = [item.tensor for item in self._logits]
        self._session = FloatSession(graph, list(dict.fromkeys([*self._outputs, *logits])))
        self._expected = [self._session.run(sample) for sample in samples]
        self._finish: Finish | None = None

    def behind(self, finish: Finish) -> Judge:
        """A judge of models whose outputs are finished by the application."""
        other = copy(self)
        other._finish = finish
        return other

    def nearby(self, number: int) -> Judge:
        """A judge of the same samples, whose values are moved by less than what tells them apart.

        The signal is the same, and what is rounded up or down is not.

        Args:
            number: of several such judges.
        """
        other = copy(self)
        other.__dict__.pop("_signal", None)
        samples = enumerate(self._samples)
        other._samples = [_moved(sample, (number, place)) for place, sample in samples]
        other._expected = [self._session.run(sample) for sample in other._samples]
        return other

    def score(self, model: Graph) -> Score:
        """Simulate a model on the samples."""
        return self.score_of(self._run(model))

    def score_of(self, run: Run) -> Score:
        """The score of what `run` returns, by output and by name of logits, for the samples."""
        return self._scored([self._noise(run, place) for place in range(len(self._samples))])

    def _run(self, model: Graph) -> Run:
        return WithLogits(model, self._library, self._logits).run

    def compared(self, before: Graph, after: Graph) -> tuple[Score, Score]:
        """The scores of two models, on all samples if three quarters may be better with `after`.

        Otherwise on the first ones, up to that which tells.
        """
        runs = [self._run(model) for model in (before, after)]
        found: list[list[FloatArray]] = [[], []]
        worse, most = np.zeros(1), len(self._samples) - least_better(len(self._samples))
        for place in range(len(self._samples)):
            old, new = (self._noise(run, place) for run in runs)
            found[0].append(old)
            found[1].append(new)
            kinds = min(len(old), len(new))
            totals = self._totals[:kinds]
            relative = [_relative(noise[:kinds], totals) for noise in (old, new)]
            worse = worse + (relative[1] >= relative[0])
            if worse.min() > most:
                break
        first, second = (self._scored(noise) for noise in found)
        return first, second

    def _noise(self, run: Run, place: int) -> FloatArray:
        """Power of the error of one sample (kinds, outputs): as `_signal`.

        (1, outputs) where a model has not all logits.
        """
        returned: Mapping[str, Array] = run(self._samples[place])
        returned = returned if self._finish is None else self._finish(returned)
        wanted = self._wanted(place)
        known = all(name in returned for name in wanted)
        rows = self._kinds if known else self._kinds[:1]
        names = {name for row in rows for name in row}
        errors = {name: self._seen(name, returned[name]) - wanted[name] for name in names}
        return np.array([[(errors[name] ** 2).sum() for name in row] for row in rows])

    @cached_property
    def _kinds(self) -> list[list[str]]:
        """The outputs; then with logits in place of what is computed of them, if there are any."""
        logits = {item.output: item.tensor for item in self._logits}
        outputs = self._outputs
        return [outputs, [logits.get(name, name) for name in outputs]] if logits else [outputs]

    def _wanted(self, place: int) -> dict[str, FloatArray]:
        return {name: self._seen(name, array) for name, array in self._expected[place].items()}

    def _seen(self, name: str, array: Array) -> FloatArray:
        """float64; logits without what their function does not see."""
        of = next((x for x in self._logits if x.tensor == name and name not in self._outputs), None)
        values = np.asarray(array, np.float64)
        return values if of is None else of.seen(values)

    @cached_property
    def _signal(self) -> FloatArray:
        """(samples, kinds, outputs) power."""
        rows = [self._wanted(place) for place in range(len(self._samples))]
        return np.array(
            [[[(row[name] ** 2).sum() for name in kind] for kind in self._kinds] for row in rows]
        )

    @property
    def _totals(self) -> FloatArray:
        """(kinds, outputs) power over all samples."""
        return np.asarray(np.maximum(self._signal.sum(axis=0), TINY))

    def _scored(self, found: Sequence[FloatArray]) -> Score:
        """The score of the noise of the first samples."""
        count = min(len(noise) for noise in found)
        kinds = [np.stack([noise[kind] for noise in found]) for kind in range(count)]
        scores = [self._score_of_kind(noise, kind) for kind, noise in enumerate(kinds)]
        return replace(scores[0], of_logits=scores[1]) if len(scores) > 1 else scores[0]

    def _score_of_kind(self, noise: FloatArray, kind: int) -> Score:
        """Of noise (samples, outputs)."""
        signal = self._signal[: len(noise), kind]
        pairs = zip(signal.sum(axis=0), noise.sum(axis=0), strict=True)
        sqnr = fmean(decibels(float(x), float(n)) for x, n in pairs)
        loudness = (signal / np.maximum(signal.mean(axis=0), TINY)).max(axis=1)
        silent = tuple(int(place) for place in np.flatnonzero(loudness < SILENT))
        return Score(sqnr, tuple(map(float, _relative(noise, self._totals[kind]))), silent)


def _relative(noise: FloatArray, signal: FloatArray) -> FloatArray:
    """(...,) of powers of errors (..., outputs), relative to those of signals."""
    parts = np.maximum(noise / signal, EXACT)
    return np.asarray(np.exp(np.log(parts).mean(axis=-1)))
