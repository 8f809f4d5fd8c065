"""Calibration for one conversion: the graph that is lowered, and the ranges of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.calibrate import SampleDigest, Spread, is_channel
from hexconv.calibrate.flat_softmax import worth_packets
from hexconv.calibrate.introduced import also_measured
from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.conversion_record import AppliedRewrite
from hexconv.errors import HexconvError
from hexconv.onnx_graph import FloatGraph
from hexconv.pipeline import check_supported, prepared
from hexconv.quantize import Bounds
from hexconv.refine import LEAST, first_samples, folds, too_few
from hexconv.settings import Settings, other_levels
from hexconv.tensor_ranges import (
    Ranges,
    equalizes,
    introduced_ranges,
    observed_ranges,
    unreached_clamps,
)

if TYPE_CHECKING:
    import onnx

Sample = Mapping[str, Any]


@dataclass
class Calibration:
    """What a conversion is asked for, and what was observed of the model.

    Attributes:
        source, shapes, samples, ranges, settings: as `convert` takes them.
        is_fold: whether the samples are a part of those that a refinement has.
        graphs: that were prepared for `accuracy="high"`, by settings; folds share them.
        observed: (min, max) by tensor.
        other: with the ranges of the other observer; None where it is not compared.
        warnings: about where the ranges come from.
        digest: of the samples.
        spread: samples of those that were observed, to compare two observers on.
        listed: the samples that models are fitted on or judged by, for `accuracy="high"`.
        folds: samples to fit models on and to judge them by, for `accuracy="high"`; none if there
            are too few.
        unreached: clamps of quantizers that no sample reaches.
        softmaxes: outputs of Softmax that are far better for a few more packets, best first.
    """

    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    samples: KeptSamples
    ranges: Ranges | None
    settings: Settings
    is_fold: bool = False
    graphs: dict[str, tuple[FloatGraph, list[AppliedRewrite]]] = field(default_factory=dict)
    observed: Mapping[str, Bounds] = field(init=False)
    other: Mapping[str, Bounds] | None = field(init=False, default=None)
    warnings: list[str] = field(init=False)
    digest: SampleDigest = field(init=False)
    spread: Spread = field(init=False)
    listed: list[Sample] = field(init=False, default_factory=list)
    folds: Sequence[tuple[Sequence[Sample], Sequence[Sample]]] = field(init=False, default=())
    unreached: frozenset[str] = field(init=False, default=frozenset())
    softmaxes: Sequence[str] = field(init=False, default=())
    _first: tuple[FloatGraph, list[AppliedRewrite]] | None = field(init=False)

    def __post_init__(self) -> None:
        self._first = self.prepared(self.settings)
        if self._first[0].clamps:
            self._leave_out_clamps(self._first[0])
            self._first = self.prepared(self.settings)
        graph = self._first[0]
        if self.ranges is None:
            check_supported(graph, self.settings)
        refines = self.settings.accuracy == "high" and not self.is_fold
        if refines:
            self._cut_into_folds(graph)
        self._observe(graph)
        if refines and not self.folds:
            self.warnings.append(too_few(len(self.listed)))

    def _cut_into_folds(self, graph: FloatGraph) -> None:
        """Keep the first samples, to fit and to judge models."""
        self.listed = first_samples(self.samples.source, graph, self.settings)
        if self.samples.named is None:  # read once, and to their end
            self.samples = KeptSamples(self.listed)
        found = folds(self.listed)
        self.folds = found if len(self.listed) >= LEAST else ()

    def _observe(self, graph: FloatGraph) -> None:
        """Measure ranges on samples, or take those that are given."""
        self.digest, self.spread = SampleDigest(self.samples.named), Spread()
        self.observed, self.warnings, other = observed_ranges(
            graph,
            self.samples.source,
            self.ranges,
            self.settings,
            self.digest,
            () if self.ranges is not None else self._also_measured(graph),
            self.spread if self._counts else None,
        )
        again = self.samples.again()
        if again is not None or self.ranges is None:
            counted = other is not None
            more = introduced_ranges(graph, self.observed, again, self.settings, counted=counted)
            given = {} if self.ranges is None else self.observed
            self.observed = {**self.observed, **more, **given}
        if equalizes(self.settings):
            self.softmaxes = worth_packets(graph, self.observed)
        if other is not None and (self._compares_always or self.spread.count >= LEAST):
            turned = replace(self.settings, observer=self.settings.other_observer)
            own = {name: b for name, b in self.observed.items() if is_channel(name)} | other
            more = introduced_ranges(graph, own, again, turned)
            self.other = {**self.observed, **other, **more}

    @property
    def _counts(self) -> bool:
        """Whether values are counted: for the error behind LeakyRelus, and another observer.

        Of few samples the other observer's are left alone.
        """
        if self.ranges is not None or self.samples.source is None:
            return False
        auto = self.settings.observer == "auto" and self.settings.accuracy != "minmax"
        return auto or self._compares_always

    @property
    def _compares_always(self) -> bool:
        return self.is_fold or bool(self.folds)

    def prepared(self, settings: Settings) -> tuple[FloatGraph, list[AppliedRewrite]]:
        """The graph that is lowered with settings, and what was recognized, rewritten and fused."""
        if self.settings.accuracy != "high":
            return prepared(self.source, self.shapes, settings, unreached=self.unreached)
        key = repr((settings.as_dict(), sorted(self.unreached)))
        if key not in self.graphs:
            self.graphs[key] = prepared(
                self.source, self.shapes, settings, unreached=self.unreached
            )
        graph, history = self.graphs[key]
        return graph.copied(), list(history)

    def _also_measured(self, graph: FloatGraph) -> list[FloatGraph]:
        return [*self._other_levels(), *also_measured(graph)]

    def _other_levels(self) -> list[FloatGraph]:
        """The model as other levels calibrate it: its ranges serve them too."""
        made = []
        for settings in other_levels(self.settings):
            with suppress(HexconvError):  # what a level cannot convert needs no ranges
                made.append(self.prepared(settings)[0])
        return made

    def _leave_out_clamps(self, graph: FloatGraph) -> None:
        """Note which clamps of quantizers no sample reaches."""
        if self.ranges is None:
            check_supported(graph, self.settings)
        self.samples = self.samples.whole()
        self.unreached = unreached_clamps(graph, self.samples.source, self.ranges, self.settings)

    def first(self) -> tuple[FloatGraph, list[AppliedRewrite]] | None:
        """The graph that was observed, as `prepared` makes it; None once it was taken."""
        first, self._first = self._first, None
        return first
