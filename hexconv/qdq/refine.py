"""What `accuracy="high"` does for a quantized ONNX model, decided on samples held back.

Of the DSP model's steps those that such a model has: ranges by the error at the outputs, and biases
of Conv, ConvTranspose and Gemm. Sums behind a MatMul have 8 bits there, and weights are rounded by
ONNX Runtime's quantizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from hexconv.arrays import Array
from hexconv.onnx_graph import FloatGraph
from hexconv.qdq.biases import corrected_biases
from hexconv.qdq.sessions import opened
from hexconv.quantize import Bounds
from hexconv.refine import (
    LEAST_VALUES,
    MOST_TOGETHER,
    MOST_TRIED,
    Journal,
    Judge,
    Score,
    mixed_ranges,
)
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges

if TYPE_CHECKING:
    import onnx

Sample = Mapping[str, Array]


@dataclass
class Steps:
    """What is refined, and by what it is decided.

    Args:
        graph: the float model.
        others: the same model with other rewrites, whose tensors `build` needs ranges of.
        fit: samples to calibrate on.
        judge: decides on those that are held back.
        settings: of the conversion.
        build: quantizes with given ranges.
        journal: of what was measured, also by an earlier run that was killed.
    """

    graph: FloatGraph
    others: Sequence[FloatGraph]
    fit: Sequence[Sample]
    judge: Judge
    settings: Settings
    build: Callable[[Mapping[str, Bounds]], onnx.ModelProto]
    journal: Journal
    _done: int = 0

    def _tick(self) -> None:
        self._done += 1
        if self.settings.progress is not None:
            self.settings.progress("refine", self._done, 0)

    def refined(self, given: Mapping[str, Bounds] | None) -> tuple[onnx.ModelProto, bool]:
        """A quantized model, with ranges that are given if any are; whether a step was kept."""
        ranges, kept = self._ranges() if given is None else (given, False)
        best = self.build(ranges)
        reached = self.journal.score(lambda: _score(self.judge, best))
        for least in LEAST_VALUES:
            tried = self._corrected(best, least)
            after = self.journal.score(partial(self._after, tried, reached))
            self._tick()
            if after.beats(reached):
                best, reached, kept = tried()[0], after, True
        return best, kept

    def _corrected(
        self, made: onnx.ModelProto, least: int
    ) -> Callable[[], tuple[onnx.ModelProto, int]]:
        """What corrects the biases of a model, when it is needed."""
        return cache(lambda: corrected_biases(made, self.graph, self.fit[:MOST_TOGETHER], least))

    def _after(self, tried: Callable[[], tuple[onnx.ModelProto, int]], reached: Score) -> Score:
        """The score with other biases; that without them where there are none."""
        made, times = tried()
        return _score(self.judge, made) if times else reached

    def _scored(self, judge: Judge, ranges: Mapping[str, Bounds]) -> Score:
        return self.journal.score(lambda: _score(judge, self.build(ranges)))

    def _ranges(self) -> tuple[Mapping[str, Bounds], bool]:
        """Ranges of the settings' observer, or mixed ones if they are better."""
        observer = self.settings.other_observer
        own, other = (
            observed_ranges(self.graph, self.fit, None, turned, None, self.others).ranges
            for turned in (self.settings, replace(self.settings, observer=observer))
        )
        judge = Judge(self.graph, self.fit[:MOST_TRIED], self.settings.library)
        mixed = mixed_ranges(own, other, lambda r: self._scored(judge, r).sqnr, self._tick)
        if mixed == own:
            return own, False
        before, after = (self._scored(self.judge, ranges) for ranges in (own, mixed))
        return (mixed, True) if after.beats(before) else (own, False)


def _score(judge: Judge, made: onnx.ModelProto) -> Score:
    """What a quantized model scores in ONNX Runtime."""
    session = opened(made)
    names = [item.name for item in session.get_outputs()]

    def run(sample: Sample) -> Mapping[str, Array]:
        return dict(zip(names, session.run(names, dict(sample)), strict=True))

    return judge.score_of(run)
