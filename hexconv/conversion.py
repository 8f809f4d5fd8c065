"""Conversion: from an ONNX model to an nnlib graph with static ranges."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hexconv.argument_types import checks_types
from hexconv.asked_model import source_of
from hexconv.calibrate import Images, SampleDigest, Spread, count_samples, format_ranges, is_channel
from hexconv.calibrate.chunks import in_chunks
from hexconv.calibrate.introduced import also_measured
from hexconv.conversion_record import AppliedRewrite, RangeSource, RefineStep
from hexconv.errors import AccuracyError, FloorError, HexconvError, HexconvWarning
from hexconv.files import sha256_of
from hexconv.model import Model
from hexconv.model_names import model_name
from hexconv.onnx_graph import FloatGraph, load
from hexconv.optimize.registry import REWRITES, Stage
from hexconv.optimize.search import Choice, search
from hexconv.option_names import in_python
from hexconv.pipeline import built, check_supported, prepared
from hexconv.quantize import Bounds
from hexconv.refine import (
    LEAST,
    Journal,
    Judge,
    Refinement,
    Score,
    chosen_ranges,
    first_samples,
    journal_of,
    split,
    too_few,
)
from hexconv.settings import OptimizeLevel, Settings, SettingsDict
from hexconv.tensor_ranges import (
    Ranges,
    Samples,
    introduced_ranges,
    observed_ranges,
    unreached_clamps,
)

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

OTHER_LEVELS: dict[OptimizeLevel, tuple[OptimizeLevel, ...]] = {
    "none": ("default",),
    "default": ("none",),
    "all": ("none",),
}
"""Levels whose tensors a level does not have all of."""


@checks_types()
def convert(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    **settings: Unpack[SettingsDict],
) -> Model:
    """Convert an ONNX model.

    Args:
        source: path of an .onnx file, or a proto.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        samples: a path (.npy, .npz, a folder), {input: path}, or {input: array} dicts.
        ranges: a `tensor@@min,max` file, or (min, max) by tensor name.
        **settings: `optimize="none"` and the like: see `hexconv.settings.Settings`.

    Returns:
        The model, its graph checked against what the library accepts.

    Raises:
        HexconvError: the model, samples or ranges cannot be used; `UnsupportedOpErrors` lists
            every node that cannot run on the DSP; `FloorError` and `AccuracyError` where
            `strict` asks for them.

    Warns:
        HexconvWarning: each of `model.conversion.warnings`.
    """
    chosen = Settings.of(settings)
    chosen = replace(chosen, name=chosen.name or model_name(source))
    asked = source_of(source, shapes, chosen)
    if asked.axes and samples is not None:
        samples = in_chunks(samples, asked.model, asked.shapes, asked.axes)
    job = _Job(asked.model, asked.shapes, _Kept(samples), ranges, chosen)
    model = replace(job.converted(), front=asked.front, axes=asked.axes)
    if job.settings.strict:
        job.check_strictly(model)
    if job.settings.explain:
        model = job.explained(model)
    for text in model.conversion.warnings if model.conversion else ():
        # Of the caller's line: `checks_types` is in between.
        warnings.warn(in_python(text), HexconvWarning, stacklevel=3)
    return model


@dataclass
class _Job:
    """One conversion: what is requested, and what was observed of the model."""

    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    samples: _Kept
    ranges: Ranges | None
    settings: Settings
    observed: Mapping[str, Bounds] = field(init=False)
    warnings: list[str] = field(init=False)
    digest: SampleDigest = field(init=False)
    held_back: list[Mapping[str, Any]] = field(init=False)
    refines: bool = field(init=False, default=False)
    other: Mapping[str, Bounds] | None = field(init=False, default=None)
    spread: Spread = field(init=False)
    journal: Journal = field(init=False, default_factory=lambda: Journal(None))
    chosen: tuple[RefineStep, ...] = field(init=False, default=())
    _whole: _Kept = field(init=False)
    unreached: frozenset[str] = field(init=False, default=frozenset())
    _first: tuple[FloatGraph, list[AppliedRewrite]] | None = field(init=False)

    def __post_init__(self) -> None:
        self._first = self._prepared(self.settings)
        if self._first[0].clamps:
            self._leave_out_clamps(self._first[0])
            self._first = self._prepared(self.settings)
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
            self.samples = _Kept(listed)
        fit, self.held_back = split(listed)
        self.refines, self._whole = len(listed) >= LEAST, self.samples
        self._observe(graph, _Kept(fit) if self.refines else self._whole)
        if not self.refines:
            self.warnings.append(too_few(len(listed)))

    def _observe(self, graph: FloatGraph, samples: _Kept) -> None:
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

    def _prepared(self, settings: Settings) -> tuple[FloatGraph, list[AppliedRewrite]]:
        return prepared(self.source, self.shapes, settings, unreached=self.unreached)

    def _also_measured(self, graph: FloatGraph) -> list[FloatGraph]:
        return [*self._other_levels(), *also_measured(graph)]

    def _other_levels(self) -> list[FloatGraph]:
        """The model as other levels of optimization calibrate it: its ranges serve them too."""
        made = []
        for level in OTHER_LEVELS[self.settings.optimize]:
            settings = replace(self.settings, optimize=level, without=(), also=())
            with suppress(HexconvError):  # what a level cannot convert needs no ranges
                made.append(self._prepared(settings)[0])
        return made

    def _leave_out_clamps(self, graph: FloatGraph) -> None:
        """Note which clamps of quantizers no sample reaches."""
        if self.ranges is None:
            check_supported(graph, self.settings)
        self.samples = self.samples.whole()
        self.unreached = unreached_clamps(graph, self.samples.source, self.ranges, self.settings)

    def converted(self) -> Model:
        """The model, or the cheapest that a search over rewrites finds; refined for "high"."""
        if not self.refines:
            return self._built(self._choose_ranges())
        refined = self._refinement()
        self._choose_ranges()
        if self.other is not None:
            self.observed = refined.ranges(self.observed, self.other, self._with_ranges)
        model = refined.constants(self._built())
        if refined.left is not None:
            self.observed = refined.left
            model = refined.together(model, self._built())
        if not refined.gained:
            model = self._with_all_samples()
        self.journal.close()
        return refined.reported(model)

    def _choose_ranges(self) -> Model | None:
        """Take the ranges of the observer that the simulated model is better with.

        Returns:
            The model with them; None where there is no choice.
        """
        if self.settings.observer != "auto" or self.spread.count < LEAST or self.other is None:
            return None
        if self.other == self.observed:
            return None
        graph = load(self.source, self.shapes, recognize=False)
        judge = Judge(graph, self.spread.kept, self.settings.library)

        def compare(seen: Model, narrow: Model) -> tuple[Score, Score]:
            both = cache(lambda: judge.compared(seen.graph, narrow.graph))
            first = self.journal.score(lambda: both()[0])
            return first, self.journal.score(lambda: both()[1])

        best, model, step = chosen_ranges(self.observed, self.other, self._with_ranges, compare)
        if step.kept:
            self.observed, self.other = best, self.observed
        self.chosen = (step,)
        assert model.conversion is not None
        return replace(model, conversion=replace(model.conversion, refined=self.chosen))

    def _with_ranges(self, found: Mapping[str, Bounds]) -> Model:
        return self._with(self._start, found)

    @property
    def _start(self) -> Choice:
        return Choice(frozenset(self.settings.without), frozenset(self.settings.also))

    def _built(self, ready: Model | None = None) -> Model:
        """The model with the ranges observed; `ready` is that of the first choice of rewrites."""
        if self.settings.optimize == "all":
            return search(self._with, self._score, self._start, self.settings.progress)
        return ready or self._with(self._start)

    def _with_all_samples(self) -> Model:
        """The model of the default, calibrated on what was held back as well."""
        self._first = self._prepared(self.settings)
        self._observe(self._first[0], self._whole)
        return self._built(self._choose_ranges())

    def _refinement(self) -> Refinement:
        fit = cast("Sequence[Mapping[str, Any]]", self.samples.source)
        held, settings = self.held_back, self.settings
        graph, _ = self._prepared(settings)
        self.journal = journal_of("dsp", graph, settings, [*fit, *held], self.observed)
        start = (self._prepared, self.source, self.shapes, settings)
        return Refinement(*start, fit, held, self.journal)

    def _with(self, choice: Choice, observed: Mapping[str, Bounds] | None = None) -> Model:
        """The model with a choice of rewrites; the first choice reuses what was prepared first.

        Args:
            choice: the rewrites.
            observed: other ranges than those that were observed.
        """
        turned = replace(self.settings, without=tuple(choice.without), also=tuple(choice.also))
        first, self._first = self._first, None
        ready = first or self._prepared(turned)
        found = dict(self.observed if observed is None else observed)
        model = built(self.source, *ready, found, turned, self.warnings)
        assert model.conversion is not None
        known = replace(
            model.conversion,
            settings=self.settings.as_dict(),
            samples=self.digest.result(),
            ranges=_range_source(self.ranges),
            refined=self.chosen,
        )
        return replace(model, conversion=known)

    def _score(self, model: Model) -> tuple[float, float, float]:
        """Predicted milliseconds and packets, and the SQNR of the worst output in dB."""
        from hexconv.compare.accuracy import accuracy
        from hexconv.cost import predict

        library = self.settings.library
        found = accuracy(model, self.source, self.samples.again(), library=library, estimate=False)
        cost = predict(model, library)
        return cost.milliseconds(), cost.packets, min(item.sqnr for item in found.values())

    def check_strictly(self, model: Model) -> None:
        """Raise for a model with warnings, or with an accuracy that is a warning otherwise.

        Raises:
            FloorError: with the warnings, and what is to be said of the accuracy.
            AccuracyError: naming the outputs, and parts of outputs.
        """
        from hexconv.compare.accuracy import accuracy
        from hexconv.compare.low_accuracy import low_accuracy

        samples = self.samples.again()
        found = accuracy(model, self.source, samples, library=self.settings.library)
        told = low_accuracy(found, own_samples=samples is not None)
        warned = model.conversion.warnings if model.conversion else ()
        if warned:
            raise FloorError(
                "the conversion has warnings, and --strict allows none",
                why="\n       ".join((*warned, *told)),
                hint="without --strict the model is written",
            )
        if told:
            raise AccuracyError(
                "the model is not accurate enough",
                why="\n       ".join(told),
                hint="without --strict it is written, with a warning",
            )

    def explained(self, model: Model) -> Model:
        """The model with the packets that each of its rewrites saved, predicted."""
        from hexconv.cost import predict

        assert model.conversion is not None
        library = self.settings.library
        packets = predict(model, library).packets
        names = [name for _, name, _ in model.conversion.rewrites if name in REWRITES]
        saved = {name: predict(self._without(name), library).packets - packets for name in names}
        return replace(model, conversion=replace(model.conversion, saved=saved))

    def _without(self, name: str) -> Model:
        """The model without one rewrite; one of the float graph needs a new calibration."""
        turned = replace(self.settings, without=(*self.settings.without, name))
        graph, history = self._prepared(turned)
        observed = dict(self.observed)
        if REWRITES[name].stage is Stage.FLOAT:
            observed = observed_ranges(graph, self.samples.again(), self.ranges, turned).ranges
        return built(self.source, graph, history, observed, turned, self.warnings)


def _range_source(ranges: Ranges | None) -> RangeSource | None:
    """Where given ranges come from."""
    if ranges is None:
        return None
    if isinstance(ranges, (str, Path)):
        return RangeSource(str(ranges), sha256_of(Path(ranges)))
    return RangeSource("", hashlib.sha256(format_ranges(ranges).encode()).hexdigest())


class _Kept:
    """Samples that can be iterated again: a path is read again, of others a few are kept."""

    def __init__(self, samples: Samples | None, count: int = 4) -> None:
        self._first: list[Mapping[str, Any]] = []
        self._count = count
        again = samples is None or isinstance(samples, (Images, str, Path, Mapping, Sequence))
        self.named = samples if again else None
        self.source = samples if again else self._watched(cast("Iterable[Any]", samples))
        self._again = samples if again else None

    def _watched(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for sample in samples:
            if len(self._first) < self._count:
                self._first.append(sample)
            yield sample

    def whole(self) -> _Kept:
        """The same samples, where all of them can be iterated again."""
        if self._again is not None or self.source is None:
            return self
        return _Kept(list(cast("Iterable[Any]", self.source)))

    def again(self) -> Samples | None:
        """The samples and settings for measuring a candidate's accuracy."""
        return self._again if self._again is not None or not self._first else self._first
