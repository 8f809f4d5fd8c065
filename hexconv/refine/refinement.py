"""What a recipe makes of a model: ranges, biases and weights, fitted on some samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.calibrate import is_channel, scale_channels
from hexconv.compare.noise import NoiseMeter
from hexconv.compare.sites import find_sites
from hexconv.conversion_record import AppliedRewrite, RefineStep
from hexconv.cost import predict
from hexconv.model import Model
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.builder import shape_of
from hexconv.precision import PLAIN, Precision
from hexconv.quantize import Bounds
from hexconv.refine.biases import corrected_biases
from hexconv.refine.candidates import Candidate, candidates
from hexconv.refine.carried import carried
from hexconv.refine.held_back import Judge, Run, Sample
from hexconv.refine.journal import Journal
from hexconv.refine.logits import Logits, WithLogits, logits_of
from hexconv.refine.ranges import mixed_ranges
from hexconv.refine.recipe import Recipe
from hexconv.refine.searched_ranges import searched_ranges
from hexconv.refine.wider_ranges import wider_ranges
from hexconv.settings import Settings
from hexconv.simulator import Simulator

if TYPE_CHECKING:
    import onnx

MOST_TRIED = 4
"""Samples that candidates for ranges are simulated on."""
MOST_TOGETHER = 16
"""Samples that biases are corrected on: their tensors are in memory side by side."""
MOST_MADE = 5
"""Models that are kept: the best one, that which is tried, and what they are made of."""

MOST_MEASURED = 2
"""Samples that the noise of each tensor is measured on."""

Ranges = Mapping[str, Bounds]
Build = Callable[[Ranges, Precision], Model]
"""Of ranges, and of what is computed more precisely."""


@dataclass(frozen=True)
class Original:
    """What is refined.

    Attributes:
        prepare: makes the float graph that is calibrated, by settings.
        source: the model.
        shapes: sizes of dynamic inputs.
        settings: of the conversion.
    """

    prepare: Callable[[Settings], tuple[FloatGraph, list[AppliedRewrite]]]
    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    settings: Settings

    def judge(self, samples: Sequence[Sample]) -> Judge:
        """Of models on some samples."""
        return Judge(self.float_graph(), samples, self.settings.library)

    def float_graph(self) -> FloatGraph:
        """The model, as it is judged by."""
        return load(self.source, self.shapes, recognize=False)

    def reference(self) -> FloatGraph:
        """The float graph that is calibrated."""
        return self.prepare(self.settings)[0]


class Refinement:
    """Models that are fitted on some samples.

    Args:
        original: what is refined.
        samples: that it is fitted on.
        observed: ranges by the observer of the settings.
        other: by another one; None if ranges stay as they are.
        build: converts with given ranges and precision.
        journal: of what is measured.
        tick: called after each measurement.
        finish: as `build`, with those that were chosen.
    """

    def __init__(
        self,
        original: Original,
        samples: Sequence[Sample],
        observed: Ranges,
        other: Ranges | None,
        build: Build,
        journal: Journal,
        tick: Callable[[], None],
        finish: Build,
    ) -> None:
        self._original, self._samples = original, samples
        self._observed, self._other = observed, other
        self._build, self._finish = build, finish
        self._journal, self._tick = journal, tick
        self._ranges: dict[Recipe, Ranges] = {}
        self.made = lru_cache(MOST_MADE)(self._made)

    def run(self, made: Model) -> Run:
        """What simulates a model."""
        return WithLogits(made.graph, self._original.settings.library, self._logits).run

    @cached_property
    def _logits(self) -> tuple[Logits, ...]:
        return logits_of(self._original.float_graph())

    def _made(self, recipe: Recipe) -> Model:
        """The model of a recipe; the same object as of another one that makes no other."""
        if recipe != recipe.of_ranges:
            if recipe != recipe.inside:
                return self._with_outputs(recipe)
            return self._corrected(self.made(recipe.of_ranges), recipe)
        ranges = self._ranges_of(recipe)
        if recipe.precision != PLAIN or ranges != self._observed:
            return self._finish(ranges, recipe.precision)
        return self._plain

    def _with_outputs(self, recipe: Recipe) -> Model:
        """Outputs in slices, and the constants that were changed of the model without."""
        inside = recipe.inside
        changed, before = self.made(inside), self.made(inside.of_ranges)
        model = self.made(recipe.of_ranges)
        return replace(model, graph=carried(model.graph, before.graph, changed.graph))

    @cached_property
    def _plain(self) -> Model:
        return self._finish(self._observed, PLAIN)

    def built(self, recipe: Recipe) -> Model:
        """The model of a recipe that changes no constants, with the first choice of rewrites."""
        return self._build(self._ranges_of(recipe), recipe.precision)

    def packets(self, recipe: Recipe) -> float:
        """Predicted, of `built`."""
        self._tick()
        return predict(self.built(recipe), self._original.settings.library).packets

    def changes(self, recipe: Recipe, other: Recipe) -> bool:
        """Whether its model is another one, as far as ranges tell."""
        ranged = replace(recipe, wider=other.wider, mixed=other.mixed, searched=other.searched)
        return ranged != other or self._ranges_of(recipe) != self._ranges_of(other)

    def candidates(self, recipe: Recipe) -> list[Sequence[Candidate]]:
        """What of its model could be computed more precisely, by the noise of each tensor."""
        model, reference = self.built(recipe), self._original.reference()
        scale_channels(reference, model.ranges)
        library = self._original.settings.library
        meter = NoiseMeter(model.graph, reference, library, lambda: None, corrected=recipe.biases)
        noise = meter.measure(self._samples[:MOST_MEASURED])
        self._tick()
        sliced = self._original.settings.output_slices
        return candidates(reference, model.ranges, noise.tensors, sliced)

    def _ranges_of(self, recipe: Recipe) -> Ranges:
        recipe = replace(recipe, precision=PLAIN)
        if recipe not in self._ranges:
            self._ranges[recipe] = self._fitted_ranges(recipe)
        return self._ranges[recipe]

    def _fitted_ranges(self, recipe: Recipe) -> Ranges:
        if recipe.wider:
            narrow = self._ranges_of(replace(recipe, wider=0.0))
            return wider_ranges(self._original.reference(), narrow, recipe.wider)
        if recipe.searched:
            return self._searched(replace(recipe, searched=False))
        if recipe.mixed and self._other is not None:
            return self._mixed(self._other)
        return self._observed

    def _mixed(self, other: Ranges) -> Ranges:
        """Ranges of either observer by the error at the outputs."""
        judge = self._original.judge(self._samples[:MOST_TRIED])
        journal = self._journal.part("mixed-ranges")

        def score(ranges: Ranges) -> float:
            return journal.score(lambda: judge.score(self._build(ranges, PLAIN).graph)).smooth.sqnr

        return mixed_ranges(self._observed, other, score, self._tick)

    def _searched(self, recipe: Recipe) -> Ranges:
        """Those of a recipe, narrowed by the noise of each tensor alone."""
        reference, graph = self._original.reference(), self.made(recipe).graph
        ranges = self._ranges_of(recipe)
        shapes = {name: shape_of(value) for name, value in reference.values().items()}
        prepared = Simulator(graph, self._original.settings.library).prepared
        computed = set(reference.computed_values())
        found = dict.fromkeys(site.tensor for site in find_sites(graph, prepared, shapes).all)
        scaled = {name.rsplit("/channel/", 1)[0] for name in ranges if is_channel(name)}
        tensors = [n for n in found if n in computed and n in ranges and n not in scaled]
        samples = self._samples[:MOST_TOGETHER]
        narrowed = searched_ranges(reference, ranges, tensors, samples, self._tick)
        return narrowed if self._is_better(narrowed, ranges) else ranges

    def _is_better(self, found: Ranges, before: Ranges) -> bool:
        """Whether ranges that few samples were looked at for are better on all of them."""
        if found == before:
            return False
        judge = self._original.judge(self._samples[:MOST_TOGETHER])
        made = (self._build(ranges, PLAIN).graph for ranges in (before, found))
        old, new = (judge.score(graph).smooth.sqnr for graph in made)
        return new > old

    def _corrected(self, model: Model, recipe: Recipe) -> Model:
        """A model with biases corrected, and weights rounded anew, on the simulator."""
        reference = self._original.reference()
        scale_channels(reference, model.ranges)
        graph, changed = self._of_constants(model.graph, reference, recipe)
        return replace(model, graph=graph) if changed else model

    def _of_constants(
        self, graph: Graph, reference: FloatGraph, recipe: Recipe
    ) -> tuple[Graph, int]:
        samples, library = self._samples[:MOST_TOGETHER], self._original.settings.library
        return corrected_biases(graph, reference, samples, library, weights=recipe.weights)


def reported(model: Model, steps: Sequence[RefineStep]) -> Model:
    """A model whose conversion has the steps, without what only they needed."""
    assert model.conversion is not None
    consts = [replace(const, exact=None) for const in model.graph.consts]
    return replace(
        model,
        graph=replace(model.graph, consts=consts),
        conversion=replace(model.conversion, refined=(*model.conversion.refined, *steps)),
    )
