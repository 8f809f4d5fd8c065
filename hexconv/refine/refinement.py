"""The steps of `accuracy="high"` in their order, and what each gained on samples held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.calibrate import is_channel, scale_channels
from hexconv.compare.sites import find_sites
from hexconv.conversion_record import AppliedRewrite, RefineStep
from hexconv.model import Model
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.builder import shape_of
from hexconv.quantize import Bounds
from hexconv.refine.biases import corrected_biases
from hexconv.refine.held_back import Judge, Sample, Score
from hexconv.refine.journal import Journal
from hexconv.refine.ranges import mixed_ranges
from hexconv.refine.searched_ranges import searched_ranges
from hexconv.settings import Settings
from hexconv.simulator import Simulator

if TYPE_CHECKING:
    import onnx

MOST_TRIED = 4
"""Calibration samples that candidates for ranges are simulated on."""
MOST_TOGETHER = 16
"""Calibration samples that biases are corrected on: their tensors are in memory side by side."""
LEAST_VALUES = (500, 12)
"""Values of a channel from which on its mean error is trusted, one after the other."""

Build = Callable[[Mapping[str, Bounds]], Model]


@dataclass
class Refinement:
    """What is refined, and the steps so far.

    Args:
        prepare: makes the float graph that is calibrated, by settings.
        source: the model.
        shapes: sizes of dynamic inputs.
        settings: of the conversion.
        fit: samples to calibrate on.
        held: samples to decide on.
        journal: of what was measured, also by an earlier run that was killed.
        steps: so far.
        left: ranges that are better, but not by more than chance.
    """

    prepare: Callable[[Settings], tuple[FloatGraph, list[AppliedRewrite]]]
    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    settings: Settings
    fit: Sequence[Sample]
    held: Sequence[Sample]
    journal: Journal = field(default_factory=lambda: Journal(None))
    steps: list[RefineStep] = field(default_factory=list)
    left: Mapping[str, Bounds] | None = None
    _done: int = 0

    @property
    def gained(self) -> bool:
        """Whether any step was kept."""
        return any(step.kept for step in self.steps)

    def _judge(self, samples: Sequence[Sample]) -> Judge:
        graph = load(self.source, self.shapes, recognize=False)
        return Judge(graph, samples, self.settings.library)

    def _scored(self, judge: Judge, build: Build, ranges: Mapping[str, Bounds]) -> Score:
        return self.journal.score(lambda: judge.score(build(ranges).graph))

    def _tick(self) -> None:
        self._done += 1
        if self.settings.progress is not None:
            self.settings.progress("refine", self._done, 0)

    def _keeps(self, name: str, before: Score, after: Score) -> bool:
        kept = after.beats(before)
        self.steps.append(RefineStep(name, before.sqnr, after.sqnr, kept))
        return kept

    def ranges(
        self, observed: Mapping[str, Bounds], other: Mapping[str, Bounds], build: Build
    ) -> Mapping[str, Bounds]:
        """Ranges of either observer by the error at the outputs.

        Args:
            observed: by the observer of the settings.
            other: by another one.
            build: converts with given ranges.
        """
        judge = self._judge(self.fit[:MOST_TRIED])
        mixed = mixed_ranges(
            observed, other, lambda r: self._scored(judge, build, r).sqnr, self._tick
        )
        held = self._judge(self.held)
        best, reached = observed, self._scored(held, build, observed)
        if mixed != observed:
            after = self._scored(held, build, mixed)
            if self._keeps("ranges by output error", reached, after):
                best, reached = mixed, after
        searched = self._searched(best, build(best).graph)
        if searched == best:
            return best
        after = self._scored(held, build, searched)
        if self._keeps("ranges by each tensor's noise", reached, after):
            return searched
        self.left = searched if after.sqnr > reached.sqnr else None
        return best

    def _searched(self, ranges: Mapping[str, Bounds], graph: Graph) -> Mapping[str, Bounds]:
        """Ranges narrowed by the noise of each tensor alone."""
        reference, _ = self.prepare(self.settings)
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        prepared = Simulator(graph, self.settings.library).prepared
        computed = set(reference.computed_values())
        found = dict.fromkeys(site.tensor for site in find_sites(graph, prepared, shapes).all)
        scaled = {name.rsplit("/channel/", 1)[0] for name in ranges if is_channel(name)}
        tensors = [n for n in found if n in computed and n in ranges and n not in scaled]
        return searched_ranges(reference, ranges, tensors, self.fit[:MOST_TOGETHER], self._tick)

    def constants(self, model: Model) -> Model:
        """A model with biases corrected, and weights rounded anew, on the simulator."""
        correct, judge = self._correction(model), self._judge(self.held)
        reached = self.journal.score(lambda: judge.score(model.graph))
        best, trusted = model.graph, LEAST_VALUES[0]

        def tried(name: str, least: int, *, weights: bool = False) -> bool:
            nonlocal best, reached
            made, before = cache(lambda: correct(least, weights)), reached
            after = self.journal.score(lambda: judge.score(made()[0]) if made()[1] else before)
            self._tick()
            kept = self._keeps(name, reached, after)
            if kept:
                best, reached = made()[0], after
            return kept

        for least in LEAST_VALUES:
            if tried(f"biases of channels with {least} values", least):
                trusted = least
        tried("weights rounded for their inputs, and biases", trusted, weights=True)
        return replace(model, graph=best)

    def _correction(self, model: Model) -> Callable[[int, bool], tuple[Graph, int]]:
        """What corrects a model's biases, and rounds its weights; how many constants changed."""
        reference, _ = self.prepare(self.settings)
        scale_channels(reference, model.ranges)
        fit, library = self.fit[:MOST_TOGETHER], self.settings.library

        def corrected(least: int, weights: bool) -> tuple[Graph, int]:
            return corrected_biases(model.graph, reference, fit, library, least, weights=weights)

        return corrected

    def together(self, best: Model, other: Model) -> Model:
        """The better of two models: the second one is that of the ranges left.

        Ranges, biases and weights may gain more than chance only together.
        """
        made = cache(lambda: self._correction(other)(LEAST_VALUES[0], True)[0])
        judge = self._judge(self.held)
        reached = self.journal.score(lambda: judge.score(best.graph))
        after = self.journal.score(lambda: judge.score(made()))
        self._tick()
        kept = self._keeps("ranges, biases and weights together", reached, after)
        return replace(other, graph=made()) if kept else best

    def reported(self, model: Model) -> Model:
        """A model whose conversion has the steps, without what only they needed."""
        assert model.conversion is not None
        consts = [replace(const, exact=None) for const in model.graph.consts]
        return replace(
            model,
            graph=replace(model.graph, consts=consts),
            conversion=replace(model.conversion, refined=(*model.conversion.refined, *self.steps)),
        )
