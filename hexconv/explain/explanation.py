"""The whole explanation: noise by tensor and cause, and what was tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.arrays import Array
from hexconv.asked_model import source_of
from hexconv.calibrate import read_samples, scale_channels
from hexconv.compare.metrics import EXACT
from hexconv.compare.noise import Noise, NoiseMeter, TensorNoise
from hexconv.conversion import convert
from hexconv.explain.trials import Bench, Trial, best_first, options
from hexconv.pipeline import prepared
from hexconv.settings import Settings

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

    from hexconv.calibrate.samples import SampleSource
    from hexconv.model import Model
    from hexconv.settings import SettingsDict

MOST_MEASURED, MOST_TESTED = 2, 8
"""Samples that noise is measured on, and that trials are."""
GAIN = 0.2
"""dB that an option has to gain to be worth naming."""


@dataclass(frozen=True)
class Explanation:
    """What explains a model's noise.

    Attributes:
        samples: "held_out", or "calibration" where there are no others.
        count: samples that the trials were measured on.
        measured: SQNR in dB of the model on the samples that its noise was measured on.
        predicted: what the noise of all tensors adds up to, dB: near `measured`, shares are right.
        causes: share of the noise of each cause.
        tensors: largest share of the noise first.
        trials: largest gain first; the first one is the model as it is.
    """

    samples: str
    count: int
    measured: float
    predicted: float
    causes: Mapping[str, float]
    tensors: tuple[TensorNoise, ...]
    trials: tuple[Trial, ...]

    @property
    def advised(self) -> tuple[Trial, ...]:
        """The options that gained something."""
        return tuple(item for item in self.trials if item.gain is not None and item.gain >= GAIN)

    def without(self, *rows: TensorNoise) -> float:
        """SQNR in dB that the sum of the noise of all other tensors gives."""
        left = 1.0 - sum(row.share for row in rows)
        return EXACT if left <= 0.0 else min(EXACT, self.predicted - 10.0 * math.log10(left))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows = [{**asdict(row), "sqnr_if_exact": self.without(row)} for row in self.tensors]
        advised = [item.option for item in self.advised]
        return {**asdict(self), "tensors": rows, "advised": advised}


def explain(
    source: str | Path | onnx.ModelProto,
    samples: SampleSource,
    *,
    held_out: SampleSource | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    model: Model | None = None,
    **settings: Unpack[SettingsDict],
) -> Explanation:
    """Measure where the noise of a model's outputs comes from, and what options gain.

    Args:
        source: the ONNX model.
        samples: calibration samples: a path, or a list of {input: array}.
        held_out: samples to measure on; without them the calibration samples.
        shapes: sizes of dynamic inputs.
        model: as it was converted with these samples and settings, if it was.
        **settings: of the conversion; `progress` is called with (stage, done, total).

    Raises:
        HexconvError: there are no samples, or the model cannot be converted, or does not run.
    """
    chosen = Settings.of(settings)
    model = model or convert(source, shapes, samples, **settings)
    asked = source_of(source, dict(shapes or {}), chosen)
    reference, _ = prepared(asked.model, asked.shapes, chosen)
    formats = chosen.data_formats
    taken = samples if held_out is None else held_out
    test = list(islice(read_samples(taken, reference, formats), MOST_TESTED))
    scale_channels(reference, model.ranges)
    noise = _noise(model, reference, test[:MOST_MEASURED], chosen)
    trials = _trials(Bench(source, shapes or {}, samples, chosen, test), model, noise)
    return Explanation(
        "calibration" if held_out is None else "held_out",
        len(test),
        noise.measured,
        noise.predicted,
        noise.causes,
        noise.tensors,
        trials,
    )


def _noise(
    model: Model, reference: Any, test: Sequence[Mapping[str, Array]], chosen: Settings
) -> Noise:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if chosen.progress is not None:
            chosen.progress("measuring the noise of each tensor", done, total)

    meter = NoiseMeter(model.graph, reference, chosen.library, tick)
    total = meter.runs * len(test)
    return meter.measure(test)


def _trials(bench: Bench, model: Model, noise: Noise) -> tuple[Trial, ...]:
    judge = bench.judge()
    base = bench.scored(model, judge)
    asked = list(options(bench.settings, noise.tensors))
    found = []
    for number, (option, change) in enumerate(asked):
        if bench.settings.progress is not None:
            bench.settings.progress(f"trying {option}", number, len(asked))
        found.append(bench.tried(option, change, judge, base))
    found += bench.with_softmax_outside(judge, base)
    return (base, *best_first(found))
