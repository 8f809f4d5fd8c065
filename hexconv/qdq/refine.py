"""What `accuracy="high"` does for a quantized ONNX model, decided on samples held back.

Of the DSP model's steps those that such a model has: ranges by the error at the outputs, and biases
of Conv, ConvTranspose and Gemm. Sums behind a MatMul have 8 bits there, and weights are rounded by
ONNX Runtime's quantizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from hexconv.onnx_graph import FloatGraph
from hexconv.qdq.biases import corrected_biases
from hexconv.qdq.sessions import opened
from hexconv.quantize import Bounds
from hexconv.refine import (
    MOST_MADE,
    MOST_TOGETHER,
    MOST_TRIED,
    Journal,
    Judge,
    Recipe,
    Run,
    Sample,
    mixed_ranges,
)
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges

if TYPE_CHECKING:
    import onnx

Ranges = Mapping[str, Bounds]


@dataclass
class Quantized:
    """Models that are quantized and refined on some samples.

    Args:
        graph: the float model.
        others: the same model with other rewrites, whose tensors `build` needs ranges of.
        samples: that they are fitted on.
        settings: of the conversion.
        build: quantizes with given ranges.
        given: ranges that stay as they are.
        journal: of what is measured.
        tick: called after each measurement.
    """

    graph: FloatGraph
    others: Sequence[FloatGraph]
    samples: Sequence[Sample]
    settings: Settings
    build: Callable[[Ranges], onnx.ModelProto]
    given: Ranges | None
    journal: Journal
    tick: Callable[[], None]

    def __post_init__(self) -> None:
        self.made = lru_cache(MOST_MADE)(self._made)

    def run(self, made: onnx.ModelProto) -> Run:
        """What runs a model in ONNX Runtime."""
        session = opened(made)
        names = [item.name for item in session.get_outputs()]
        return lambda sample: dict(zip(names, session.run(names, dict(sample)), strict=True))

    def _made(self, recipe: Recipe) -> onnx.ModelProto:
        """The model of a recipe; the same object as of another one that makes no other."""
        if not recipe.biases:
            mixed = recipe.mixed and self._mixed != self._own
            return self.build(self._mixed) if mixed else self._plain
        plain = self.made(recipe.of_ranges)
        samples = self.samples[:MOST_TOGETHER]
        made, changed = corrected_biases(plain, self.graph, samples)
        return made if changed else plain

    @cached_property
    def _plain(self) -> onnx.ModelProto:
        return self.build(self._own)

    @cached_property
    def _own(self) -> Ranges:
        return self._observed(self.settings) if self.given is None else self.given

    @cached_property
    def _mixed(self) -> Ranges:
        """Ranges of either observer by the error at the outputs."""
        other = self._observed(replace(self.settings, observer=self.settings.other_observer))
        judge = Judge(self.graph, self.samples[:MOST_TRIED], self.settings.library)
        journal = self.journal.part("mixed-ranges")

        def score(ranges: Ranges) -> float:
            return journal.score(lambda: judge.score_of(self.run(self.build(ranges)))).sqnr

        return mixed_ranges(self._own, other, score, self.tick)

    def _observed(self, settings: Settings) -> Ranges:
        return observed_ranges(self.graph, self.samples, None, settings, None, self.others).ranges
