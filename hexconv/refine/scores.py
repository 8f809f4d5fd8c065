"""What models scored on samples, and whether one is better by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from statistics import fmean, stdev

from hexconv.compare.metrics import decibels

FOLDS = 4
"""Parts of the samples; each is judged by models that were fitted on the others."""
FOLD_ERRORS = 2.35
"""As `ERRORS`, by which the mean of the folds' gains is above 0 (95 %)."""
LEAST_JUDGED = 4
"""Samples from which on a gain can be told."""
LEAST_HEARD = 3
"""Held-back samples that are not silent, from which on a gain can be told."""
ERRORS = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}
"""Standard errors of its mean by which a gain is above 0, by the number of samples.

Student's t distribution (97.5 %): 1.96 of a known deviation, more for one that is estimated.
"""
NORMAL = 1.96
"""The same for a known deviation."""


@dataclass(frozen=True)
class Score:
    """What a model scored.

    Attributes:
        sqnr: over all samples, dB: the mean over the model's outputs.
        noise: of each sample, relative to the signal: the geometric mean over the outputs, so that
            a decibel of each counts alike, as it does in `sqnr`.
        silent: numbers of the samples that have next to no signal beside the others.
        of_logits: the same with logits in place of the probabilities that a Softmax computes of
            them; None of a model without.
    """

    sqnr: float
    noise: tuple[float, ...]
    silent: tuple[int, ...] = ()
    of_logits: Score | None = None

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

    def is_noisier(self, other: Score) -> bool:
        """Whether the noise of all samples together is higher by more than a standard error."""
        rises = [new - old for old, new in zip(other.noise, self.noise, strict=True)]
        if len(rises) < 2:
            return sum(rises) > 0.0
        return bool(fmean(rises) > stdev(rises) / len(rises) ** 0.5)

    @property
    def smooth(self) -> Score:
        """Of logits, if there are any: what little noise changes little."""
        return self if self.of_logits is None else self.of_logits


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


def better(pairs: Sequence[tuple[Score, Score]]) -> bool:
    """Whether models are better than others before them by more than chance.

    By outputs; or by logits, where the outputs' noise does not rise by more than chance.

    Args:
        pairs: of each fold, the score before and after.
    """
    return _told(pairs) or told_by_logits(pairs, _told)


def told_by_logits(
    pairs: Sequence[tuple[Score, Score]], told: Callable[[Sequence[tuple[Score, Score]]], bool]
) -> bool:
    """Whether logits tell that models are better, and outputs do not tell that they are worse."""
    logits = of_logits(pairs)
    before, after = (joined(scores) for scores in zip(*pairs, strict=True))
    return bool(logits) and told(logits) and not after.is_noisier(before)


def of_logits(pairs: Sequence[tuple[Score, Score]]) -> list[tuple[Score, Score]]:
    """Pairs of scores by logits; none where a model has not all of them."""
    found = [(old.of_logits, new.of_logits) for old, new in pairs]
    known = [(old, new) for old, new in found if old is not None and new is not None]
    return known if len(known) == len(pairs) else []


def _told(pairs: Sequence[tuple[Score, Score]]) -> bool:
    before, after = (joined(scores) for scores in zip(*pairs, strict=True))
    return agree([new.gains_over(old) for old, new in pairs]) and after.beats(before)


def likely(pairs: Sequence[tuple[Score, Score]]) -> bool:
    """Whether models are better by what may be chance, by outputs or by logits, as `better`."""
    return _may_be(pairs) or told_by_logits(pairs, _may_be)


def _may_be(pairs: Sequence[tuple[Score, Score]]) -> bool:
    """Whether the folds agree, and the samples gain by more than a standard error."""
    gains = [new.gains_over(old) for old, new in pairs]
    each = [gain for fold in gains for gain in fold]
    if len(each) < LEAST_HEARD or not agree(gains):
        return False
    return bool(fmean(each) > stdev(each) / len(each) ** 0.5)


def averaged(scores: Sequence[Score]) -> Score:
    """The score on the same samples several times: decibels are the mean."""
    noise = (fmean(map(log, each)) for each in zip(*(score.noise for score in scores), strict=True))
    logits = [score.of_logits for score in scores if score.of_logits is not None]
    behind = averaged(logits) if len(logits) == len(scores) > 0 else None
    sqnr = fmean(score.sqnr for score in scores)
    return Score(sqnr, tuple(map(exp, noise)), scores[0].silent, behind)


def joined(scores: Sequence[Score]) -> Score:
    """The score on the samples of several folds: decibels are their mean."""
    noise = [number for score in scores for number in score.noise]
    starts = accumulate((len(score.noise) for score in scores), initial=0)
    silent = [start + n for start, score in zip(starts, scores, strict=False) for n in score.silent]
    logits = [score.of_logits for score in scores if score.of_logits is not None]
    behind = joined(logits) if len(logits) == len(scores) > 0 else None
    return Score(fmean(score.sqnr for score in scores), tuple(noise), tuple(silent), behind)


def least_better(count: int) -> int:
    """How many of some samples are three quarters of them."""
    return -(-3 * count // 4)
