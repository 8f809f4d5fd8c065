"""What a converted graph has to hold: one failure for each that it does not.

Figures are SQNR in dB of the simulated v60 library over all samples of a case.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import hexconv
from hexconv.compare.eight_bits import EightBits
from hexconv.compare.low_accuracy import far_below
from hexconv.compare.metrics import decibels
from hexconv.device import Library
from hexconv.errors import HexconvError
from hexconv.model import Model
from hexconv.nnlib.versions import LibraryVersion
from hexconv.onnx_graph import load
from hexconv.optimize.registry import REWRITES
from hexconv.simulator import Simulator
from tests.fuzz.cases import Array, Case, Feeds

NOTHING = 1e-5
"""Root mean square of a result that is 0 but for float's rounding."""
LEAST = 10.0
"""dB under which a figure is chance."""
GOOD = 30.0
"""dB that are right, whatever 8 bits allow."""
APART = 6.0
"""dB by which the levels of optimization, or a rewrite left out, may differ."""
WIDER = (1.0, 1.004, 1.013, 1.029)
"""Factors of the ranges in which 8 bits are tried: what differs is decided by chance."""
DATA_DEPENDENT, TOO_LARGE = "softmax beta", "its input range times beta is too large"
"""The limit that logits of tens of thousands break: an error that only calibration can tell."""
BY_CHANCE = {"Floor", "Ceil", "Round", "Sign", "ArgMax", "ArgMin"}
"""Ops that jump: a value that is near the edge is decided by chance, in float as well."""
ERRORS = (HexconvError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError)

Figures = dict[str, float]
Runs = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Failure:
    """What does not hold; two of a kind have one cause more often than not."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def failures(case: Case, library: Library | None = None, quick: bool = False) -> list[Failure]:
    """All that does not hold for a case.

    Args:
        case: whose float model is finite.
        library: the real one, which has to return the simulator's bits.
        quick: every second case without optimization as well, every eighth one slower question.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Trial(case, library).run(quick)


def figures(expected: Runs, returned: Runs) -> Figures:
    """SQNR by output, over all samples; none of a constant, or of what is 0 but for rounding."""
    found = {}
    for name in expected[0]:
        pairs = [(np.float64(e[name]), a[name]) for e, a in zip(expected, returned, strict=True)]
        signal = sum(float((x**2).sum()) for x, _ in pairs)
        if np.ptp(np.concatenate([x.reshape(-1) for x, _ in pairs])) == 0.0:
            continue
        if signal < NOTHING**2 * sum(x.size for x, _ in pairs):
            continue
        found[name] = decibels(signal, sum(float(((x - y) ** 2).sum()) for x, y in pairs))
    return found


def allowed_for(case: Case, expected: Runs) -> Figures:
    """What 8 bits allow: the estimate that `convert` warns by, or one in other ranges, as good."""
    found = [
        figures(expected, [ideal.run(sample) for sample in case.samples])
        for wider in WIDER
        for ideal in [EightBits(load(case.model()), case.samples, wider)]
    ]
    return {name: min(item[name] for item in found) for name in found[0]}


class _Trial:
    """One case under trial; what is computed once serves all that is asked."""

    def __init__(self, case: Case, library: Library | None) -> None:
        self.case, self.library = case, library
        self.proto = case.model()
        self.expected = case.values()
        self.found: list[Failure] = []

    def run(self, quick: bool) -> list[Failure]:
        """Everything, and one of the slower questions, by turns."""
        checked = self._checked()
        turn, asked = divmod(self.case.seed, len(QUESTIONS))
        plain = None if quick and self.case.seed % 2 else self._level("none", checked)
        model = self._level("default", checked)
        if plain is not None and model is not None:
            worst = {name: plain[1][name] - figure for name, figure in model[1].items()}
            self._hold_levels(worst, model[1])
        for level in (plain, model) if self.library is not None else ():
            if level is not None:
                self._same_bits(level[0])
        if model is not None and (not quick or turn % 8 == 0):
            QUESTIONS[asked](self, *model)
        if model is not None and self.case.fresh and (not quick or self.case.seed % 8 == 0):
            self._refined(model[0])
        return self.found

    def _refined(self, plain: Model) -> None:
        """High accuracy, which is not far below the default on samples that nothing has seen."""
        model = self.converted("accuracy high", accuracy="high")
        if model is None:
            return
        fresh = replace(self.case, samples=self.case.fresh)
        found = self.simulated("accuracy high", model, fresh)
        before = self.simulated("default", plain, fresh)
        for name, figure in (found if found is not None and before is not None else {}).items():
            if figure < GOOD and before[name] - figure >= APART:
                self.fail("high loses", f"{name} {before[name]:.1f} to {figure:.1f} dB")
        if self.library is not None:
            self._same_bits(model)

    def fail(self, kind: str, detail: str) -> None:
        """One more failure."""
        self.found.append(Failure(kind, detail))

    @functools.cached_property
    def allowed(self) -> Figures:
        """What 8 bits allow."""
        return allowed_for(self.case, self.expected)

    def _checked(self) -> bool | None:
        try:
            return hexconv.check(self.proto).ok
        except ERRORS as error:
            self.fail("check", _short(error))
            return None

    def _level(self, level: Any, checked: bool | None) -> tuple[Model, Figures] | None:
        model = self.converted(f"optimize {level}", checked, optimize=level)
        found = None if model is None else self.simulated(f"optimize {level}", model)
        if model is None or found is None:
            return None
        self.hold(f"optimize {level}", found)
        return model, found

    def converted(
        self, what: str, checked: bool | None = None, case: Case | None = None, **settings: Any
    ) -> Model | None:
        """The model; an error is a failure where `check` saw none, or none of hexconv's own."""
        case = case or self.case
        try:
            proto = self.proto if case is self.case else case.model()
            model = hexconv.convert(proto, samples=case.samples, **settings)
        except ERRORS as error:
            if DATA_DEPENDENT in str(error):
                return None
            if checked is not False or not isinstance(error, HexconvError):
                self.fail("convert", f"{what}: {_short(error)}")
            return None
        if checked is False:
            self.fail("check rejects what converts", what)
        return model

    def simulated(self, what: str, model: Model, case: Case | None = None) -> Figures | None:
        """Its figures."""
        case = case or self.case
        expected = self.expected if case is self.case else case.values()
        try:
            return figures(expected, results(model, case.samples))
        except ERRORS as error:
            if TOO_LARGE not in str(error):
                self.fail("simulate", f"{what}: {_short(error)}")
            return None

    def hold(self, what: str, found: Figures, batch: tuple[Case, Runs] | None = None) -> None:
        """Figures against what 8 bits allow: of the case, or of another one and its values."""
        if BY_CHANCE & {step.op for step in self.case.steps}:
            return
        low = [name for name, figure in found.items() if figure < GOOD]
        allowed = (allowed_for(*batch) if batch else self.allowed) if low else {}
        for name in low:
            if allowed[name] >= LEAST and far_below(found[name], allowed[name]):
                told = f"{what}: {name} {found[name]:.1f} dB, allowed {allowed[name]:.1f}"
                self.fail("far off", told)

    def _hold_levels(self, worse: Figures, found: Figures) -> None:
        for name, less in worse.items():
            if less >= APART and found[name] < GOOD and self.allowed[name] - found[name] >= APART:
                self.fail("levels apart", f"{name} {found[name]:.1f} dB, {less:.1f} less than none")

    def _same_bits(self, model: Model) -> None:
        """The real library against the simulator, sample for sample."""
        assert self.library is not None
        samples = self.case.samples[:2]
        try:
            simulated = results(model, samples, self.library.version)
            executed = self.library.run_batch(model, samples)
        except ERRORS as error:
            self.fail("library", _short(error))
            return
        for wanted, real in zip(simulated, executed, strict=True):
            for name, values in wanted.items():
                if not np.array_equal(values, real[name]):
                    apart = int((values != real[name]).sum())
                    self.fail("bits", f"{name}: {apart} of {values.size} elements differ")


def results(model: Model, samples: Sequence[Feeds], version: LibraryVersion = "v60") -> Runs:
    """What the simulated DSP returns for each sample."""
    simulator = Simulator(model, version)
    return [simulator.run(sample) for sample in samples]


def _short(error: Exception) -> str:
    text = " / ".join(line.strip() for line in str(error).splitlines()[:3])
    return f"{type(error).__name__}: {text}"[:300]


Question = Callable[[_Trial, Model, Figures], None]
QUESTIONS: list[Question] = []


def question(function: Question) -> Question:
    """One of the slower questions, of which each case is asked one."""
    QUESTIONS.append(function)
    return function


@question
def without_a_rewrite(trial: _Trial, model: Model, found: Figures) -> None:
    """Each rewrite left out leaves the figure where it was."""
    assert model.conversion is not None
    for rewrite in model.conversion.rewrites:
        if rewrite[1] not in REWRITES:
            continue
        what = f"without {rewrite[1]}"
        other = trial.converted(what, without=(rewrite[1],))
        figure = None if other is None else trial.simulated(what, other)
        if figure is not None:
            trial.hold(what, figure)


@question
def saved_and_loaded(trial: _Trial, model: Model, found: Figures) -> None:
    """The files say all that the model does."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        loaded = hexconv.load(Path(folder) / f"{model.name}.pb")
        before, after = (results(item, trial.case.samples) for item in (model, loaded))
    _same(trial, "save and load", before, after)


@question
def run_again(trial: _Trial, model: Model, found: Figures) -> None:
    """A run leaves nothing behind for the next."""
    samples = [*trial.case.samples, trial.case.samples[0]]
    runs = results(model, samples)
    _same(trial, "second run", runs[:1], runs[-1:])


@question
def renamed(trial: _Trial, model: Model, found: Figures) -> None:
    """Names mean nothing."""
    case = trial.case.renamed("/a b/c.0:")
    other = trial.converted("renamed", case=case)
    if other is not None:
        runs = [
            {name.removeprefix("/a b/c.0:"): value for name, value in run.items()}
            for run in results(other, case.samples)
        ]
        _same(trial, "renamed", results(model, trial.case.samples), runs)


@question
def reordered(trial: _Trial, model: Model, found: Figures) -> None:
    """Nor does the order in which independent nodes stand."""
    case = trial.case.reordered()
    other = trial.converted("reordered", case=case)
    figure = None if other is None else trial.simulated("reordered", other, case)
    if figure is not None:
        trial.hold("reordered", figure)


@question
def in_a_batch(trial: _Trial, model: Model, found: Figures) -> None:
    """Two samples at once."""
    case = trial.case
    pairs = [(case.samples[i], case.samples[i - 1]) for i in range(len(case.samples))]
    shapes = {name: (2 * shape[0], *shape[1:]) for name, shape in case.shapes.items()}
    samples = tuple({n: np.concatenate([a[n], b[n]]) for n in case.shapes} for a, b in pairs)
    batch = replace(case, shapes=shapes, samples=samples)
    try:
        expected = batch.values()
    except (RuntimeError, onnx.shape_inference.InferenceError, Exception):
        return  # something in the graph holds the batch in a constant
    other = trial.converted("in a batch", case=batch)
    if other is None:
        return
    figure = trial.simulated("in a batch", other, batch)
    if figure is not None:
        trial.hold("in a batch", figure, (batch, expected))


def _same(trial: _Trial, what: str, before: Runs, after: Runs) -> None:
    for one, other in zip(before, after, strict=True):
        for name, values in one.items():
            if not np.array_equal(values, other[name]):
                trial.fail(what, f"{name} changes")
