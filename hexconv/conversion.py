"""Conversion: from an ONNX model to an nnlib graph with static ranges."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.argument_types import checks_types
from hexconv.asked_model import source_of
from hexconv.calibrate import format_ranges, is_channel
from hexconv.calibrate.chunks import in_chunks
from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.calibration import Calibration
from hexconv.conversion_record import RangeSource, RefineStep
from hexconv.errors import AccuracyError, FloorError, HexconvWarning, RangeError
from hexconv.files import sha256_of
from hexconv.model import Model
from hexconv.model_names import model_name
from hexconv.nnlib.shared_consts import with_shared_consts
from hexconv.nnlib.versions import LibraryVersion
from hexconv.optimize.registry import REWRITES, Stage
from hexconv.optimize.search import Choice, search
from hexconv.option_names import in_python
from hexconv.pipeline import built
from hexconv.precision import PLAIN, Precision
from hexconv.quantize import Bounds
from hexconv.refine import (
    RANGES,
    WIDER,
    Budget,
    CrossValidation,
    Fold,
    Journal,
    Original,
    Price,
    Recipe,
    Refinement,
    Sample,
    Score,
    Ticks,
    affordable,
    chosen_ranges,
    journal_of,
    reported,
    spend,
    steps,
    too_dear,
)
from hexconv.settings import Settings, SettingsDict
from hexconv.tensor_ranges import (
    Ranges,
    Samples,
    equalizes,
    observed_ranges,
)

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack


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
    job = _Job(Calibration(asked.model, asked.shapes, KeptSamples(samples), ranges, chosen))
    model = job.converted()
    graph = with_shared_consts(model.graph)
    model = replace(model, graph=graph, front=asked.front, axes=asked.axes)
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
    """One conversion: what was calibrated, and what is built of it."""

    calibration: Calibration
    journal: Journal = field(default_factory=lambda: Journal(None))
    chosen: tuple[RefineStep, ...] = ()
    precision: Precision = PLAIN
    by_default: Precision = PLAIN
    left_out: frozenset[str] = frozenset()

    @property
    def settings(self) -> Settings:
        """Of the conversion."""
        return self.calibration.settings

    def converted(self) -> Model:
        """The model, or the cheapest that a search over rewrites finds; refined for "high"."""
        return self._refined() if self.calibration.folds else self._built(self._choose_ranges())

    def _refined(self) -> Model:
        """The model with the steps that samples agree on which they were not fitted to."""
        known = self.calibration
        graph, _ = known.prepared(self.settings)
        whole = journal_of("dsp", graph, self.settings, known.listed, known.observed)
        self.journal = whole.part("all")
        ready, ticks = self._choose_ranges(), Ticks(self.settings.progress)
        folds = [self._fold(number, whole, ticks) for number in range(len(known.folds))]
        fitted = self._refinement(known.listed, ticks)
        budget = Budget(fitted.packets, self.settings.extra_packets)
        validation = CrossValidation(folds, ticks, fitted.changes, budget)
        self._try_steps(validation, fitted, budget)
        model = self._built(ready) if validation.best == Recipe() else fitted.made(validation.best)
        whole.close()
        return reported(model, validation.steps)

    def _try_steps(
        self, validation: CrossValidation[Model], fitted: Refinement, budget: Budget
    ) -> None:
        """Steps that cost nothing first; what costs packets has to gain behind them."""
        ranges = self.calibration.other is not None
        for step in (*((*WIDER, *RANGES) if ranges else ()), *steps(ranges=ranges)):
            validation.tries(step)
        if self.settings.extra_packets > 0.0:
            spend(validation, fitted, budget)
            if validation.best.inside.precision != PLAIN:
                # Those that were not kept may be worth more where less noise is left.
                for step in steps(ranges=ranges):
                    validation.tries(step)

    def _fold(self, number: int, whole: Journal, ticks: Ticks) -> Fold[Model]:
        """Samples to judge by, and what fits models on the others."""
        known, journal = self.calibration, whole.part(f"fold-{number}")
        fit, judged = known.folds[number]

        def fitted() -> Refinement:
            settings = replace(self.settings, progress=None)
            start = (known.source, known.shapes, KeptSamples(fit), known.ranges, settings)
            job = _Job(Calibration(*start, is_fold=True, graphs=known.graphs), journal)
            job._start_as(self)
            return job._refinement(fit, ticks)

        return Fold(fitted, lambda: self._original.judge(judged), journal)

    @property
    def _original(self) -> Original:
        known = self.calibration
        return Original(known.prepared, known.source, known.shapes, self.settings)

    def _refinement(self, samples: Sequence[Sample], ticks: Ticks) -> Refinement:
        known = self.calibration
        return Refinement(
            self._original,
            samples,
            known.observed,
            known.other,
            self._with_ranges,
            self.journal,
            ticks,
            self._with_ranges if known.is_fold else self._searched_with,
        )

    def _searched_with(self, found: Mapping[str, Bounds], precision: Precision) -> Model:
        """The model with given ranges and precision, and rewrites that were searched for it."""
        self.calibration.observed, self.precision = found, precision
        return self._built()

    def _choose_ranges(self) -> Model | None:
        """Take the ranges of the observer that the simulated model is better with.

        Before that, choose what is computed more precisely by default.

        Returns:
            The model with them; None where there is no choice.
        """
        known = self.calibration
        if equalizes(self.settings) and any(map(is_channel, known.observed)):
            self.left_out = too_dear(self._price(PLAIN), self._least_price)
        self.by_default = affordable(known.softmaxes, self._price, lambda: self._least_price)
        if self.settings.observer != "auto" or known.other is None:
            return None
        if known.other == known.observed:
            return None
        judge = self._original.judge(known.spread.kept)

        def compare(seen: Model, narrow: Model) -> tuple[Score, Score]:
            both = cache(lambda: judge.compared(seen.graph, narrow.graph))
            first = self.journal.score(lambda: both()[0])
            return first, self.journal.score(lambda: both()[1])

        best, model, step = chosen_ranges(known.observed, known.other, self._with_ranges, compare)
        if step.kept:
            known.observed, known.other = best, known.observed
        self.chosen = (step,)
        assert model.conversion is not None
        return replace(model, conversion=replace(model.conversion, refined=self.chosen))

    def _price(self, precision: Precision) -> Price:
        """Of the model with the ranges observed."""
        return _price_of(self._with(self._start, precision=precision), self.settings.library)

    @cached_property
    def _least_price(self) -> Price:
        """Of the model of `accuracy="minmax"`; nothing where a range file has not all its ranges.

        What takes packets is left out then.
        """
        known, plain = self.calibration, replace(self.settings, accuracy="minmax")
        found = dict(known.observed)
        try:
            made = built(known.source, *known.prepared(plain), found, plain, known.warnings)
        except RangeError:
            return 0.0, 0.0
        return _price_of(made, self.settings.library)

    def _start_as(self, whole: _Job) -> None:
        """Take what was chosen on all samples: a fold is to gain over that model."""
        known, self.by_default = self.calibration, whole.by_default
        self.left_out = whole.left_out
        if known.other is not None and any(step.kept for step in whole.chosen):
            known.observed, known.other = known.other, known.observed

    def _with_ranges(self, found: Mapping[str, Bounds], precision: Precision = PLAIN) -> Model:
        return self._with(self._start, found, precision)

    @property
    def _start(self) -> Choice:
        without = self.left_out | frozenset(self.settings.without)
        return Choice(without, frozenset(self.settings.also))

    def _built(self, ready: Model | None = None) -> Model:
        """The model with the ranges observed; `ready` is that of the first choice of rewrites."""
        if self.settings.optimize == "all":
            return search(self._with, self._score, self._start, self.settings.progress)
        return ready or self._with(self._start)

    def _with(
        self,
        choice: Choice,
        observed: Mapping[str, Bounds] | None = None,
        precision: Precision | None = None,
    ) -> Model:
        """The model with a choice of rewrites; the first choice reuses what was prepared first.

        Args:
            choice: the rewrites.
            observed: other ranges than those that were observed.
            precision: other than what was chosen.
        """
        known = self.calibration
        turned = replace(self.settings, without=tuple(choice.without), also=tuple(choice.also))
        ready = known.first() or known.prepared(turned)
        found = dict(known.observed if observed is None else observed)
        precise = self.by_default.joined(self.precision if precision is None else precision)
        model = built(known.source, *ready, found, turned, known.warnings, precise)
        assert model.conversion is not None
        record = replace(
            model.conversion,
            settings=self.settings.as_dict(),
            samples=known.digest.result(),
            ranges=_range_source(known.ranges),
            refined=self.chosen,
        )
        return replace(model, conversion=record)

    def _score(self, model: Model) -> tuple[float, float, float]:
        """Predicted milliseconds and packets, and the SQNR of the worst output in dB."""
        from hexconv.compare.accuracy import accuracy
        from hexconv.cost import predict

        library = self.settings.library
        source, samples = self.calibration.source, self.calibration.samples.again()
        found = accuracy(model, source, samples, library=library, estimate=False)
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

        samples = self.calibration.samples.again()
        found = accuracy(model, self.calibration.source, samples, library=self.settings.library)
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
        known = self.calibration
        graph, history = known.prepared(turned)
        observed = dict(known.observed)
        if REWRITES[name].stage is Stage.FLOAT:
            again = known.samples.again()
            observed = observed_ranges(graph, again, known.ranges, turned).ranges
        precision = self.by_default.joined(self.precision)
        return built(known.source, graph, history, observed, turned, known.warnings, precision)


def _price_of(model: Model, library: LibraryVersion) -> Price:
    from hexconv.cost import predict

    found = predict(model, library)
    return found.packets, found.milliseconds()


def _range_source(ranges: Ranges | None) -> RangeSource | None:
    """Where given ranges come from."""
    if ranges is None:
        return None
    if isinstance(ranges, (str, Path)):
        return RangeSource(str(ranges), sha256_of(Path(ranges)))
    return RangeSource("", hashlib.sha256(format_ranges(ranges).encode()).hexdigest())
