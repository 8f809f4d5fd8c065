"""Calibration for one conversion: the graph that is lowered, and the ranges of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.calibrate import SampleDigest, Spread, count_samples, is_channel
from hexconv.calibrate.introduced import also_measured
from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.conversion_record import AppliedRewrite
from hexconv.errors import HexconvError
from hexconv.onnx_graph import FloatGraph
from hexconv.pipeline import check_supported, prepared
from hexconv.quantize import Bounds
from hexconv.refine import LEAST, first_samples, split, too_few
from hexconv.settings import OptimizeLevel, Settings
from hexconv.tensor_ranges import Ranges, introduced_ranges, observed_ranges, unreached_clamps

if TYPE_CHECKING:
    import onnx

OTHER_LEVELS: dict[OptimizeLevel, tuple[OptimizeLevel, ...]] = {
    "none": ("default",),
    "default": ("none",),
    "all": ("none",),
}
"""Levels whose tensors a level does not have all of."""


@dataclass
class Calibration:
    """What a conversion is asked for, and what was observed of the model.

    Attributes:
        source, shapes, samples, ranges, settings: as `convert` takes them.
        observed: (min, max) by tensor.
        other: with the ranges of the other observer; None where it is not compared.
        warnings: about where the ranges come from.
        digest: of the samples.
        spread: samples of those that were observed, to compare two observers on.
        held_back: samples that were not observed, for `accuracy="high"` to decide on.
        refines: whether there are enough of them.
        unreached: clamps of quantizers that no sample reaches.
    """

    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    samples: KeptSamples
    ranges: Ranges | None
    settings: Settings
    observed: Mapping[str, Bounds] = field(init=False)
    other: Mapping[str, Bounds] | None = field(init=False, default=None)
    warnings: list[str] = field(init=False)
    digest: SampleDigest = field(init=False)
    spread: Spread = field(init=False)
    held_back: list[Mapping[str, Any]] = field(init=False)
    refines: bool = field(init=False, default=False)
    unreached: frozenset[str] = field(init=False, default=frozenset())
    _whole: KeptSamples = field(init=False)
    _first: tuple[FloatGraph, list[AppliedRewrite]] | None = field(init=False)

    def __post_init__(self) -> None:
        self._first = self.prepared(self.settings)
        if self._first[0].clamps:
            self._leave_out_clamps(self._first[0])
            self._first = self.prepared(self.settings)
        graph = self._first[0]
        if self.ranges is None:
            check_supported(graph, self.settings)
        if self.settings.accuracy == "high":
            self._hold_back(graph)
        else:
            self._observe(graph, self.samples)

    def _hold_back(self, graph: FloatGraph) -> None:
        """Observe some of the samples, and keep the others to decide on."""
        listed = first_samples(self.samples.source, graph, self.settings)
        if self.samples.named is None:  # read once, and to their end
            self.samples = KeptSamples(listed)
        fit, self.held_back = split(listed)
        self.refines, self._whole = len(listed) >= LEAST, self.samples
        self._observe(graph, KeptSamples(fit) if self.refines else self._whole)
        if not self.refines:
            self.warnings.append(too_few(len(listed)))

    def _observe(self, graph: FloatGraph, samples: KeptSamples) -> None:
        """Measure ranges on samples, or take those that are given."""
        self.samples, self.digest = samples, SampleDigest(self.samples.named)
        self.spread, self.other = Spread(), None
        self.observed, self.warnings, other = observed_ranges(
            graph,
            self.samples.source,
            self.ranges,
            self.settings,
            self.digest,
            () if self.ranges is not None else self._also_measured(graph),
            self.spread if self._compares(graph) else None,
        )
        again = self.samples.again()
        if again is not None or self.ranges is None:
            more = introduced_ranges(graph, self.observed, again, self.settings)
            given = {} if self.ranges is None else self.observed
            self.observed = {**self.observed, **more, **given}
        if other is not None and (self.refines or self.spread.count >= LEAST):
            turned = replace(self.settings, observer=self.settings.other_observer)
            own = {name: b for name, b in self.observed.items() if is_channel(name)} | other
            more = introduced_ranges(graph, own, again, turned)
            self.other = {**self.observed, **other, **more}

    def _compares(self, graph: FloatGraph) -> bool:
        """Whether ranges of another observer may be better."""
        if self.ranges is not None or self.samples.source is None:
            return False
        if self.settings.accuracy == "high":
            return self.refines
        chosen = self.settings.observer == "auto" and self.settings.accuracy == "default"
        return chosen and not 0 < count_samples(self.samples.source, graph) < LEAST

    def prepared(self, settings: Settings) -> tuple[FloatGraph, list[AppliedRewrite]]:
        """The graph that is lowered with settings, and what was recognized, rewritten and fused."""
        return prepared(self.source, self.shapes, settings, unreached=self.unreached)

    def _also_measured(self, graph: FloatGraph) -> list[FloatGraph]:
        return [*self._other_levels(), *also_measured(graph)]

    def _other_levels(self) -> list[FloatGraph]:
        """The model as other levels of optimization calibrate it: its ranges serve them too."""
        made = []
        for level in OTHER_LEVELS[self.settings.optimize]:
            settings = replace(self.settings, optimize=level, without=(), also=())
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

    def observe_all(self) -> None:
        """Measure ranges on the samples that were held back as well."""
        self._first = self.prepared(self.settings)
        self._observe(self._first[0], self._whole)
