"""The model as quantized ONNX (QuantizeLinear, DequantizeLinear), for runtimes other than MACE's.

Snapdragons from the 888 on (Hexagon v68 and later) do not run the Hexagon NN library; ONNX
Runtime's QNN execution provider, and other int8 runtimes, take this form. Activations are uint8 in
the ranges of the DSP model, weights int8 for each output channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hexconv.argument_types import checks_types
from hexconv.asked_model import source_of
from hexconv.calibrate import Images
from hexconv.onnx_graph import FloatGraph, load
from hexconv.pipeline import prepared
from hexconv.qdq.opset import write_out_recent_ops
from hexconv.qdq.quantizer import quantized
from hexconv.qdq.ranges import clip_early, dsp_ranges, plain_ranges
from hexconv.qdq.refine import Quantized
from hexconv.qdq.sessions import opened
from hexconv.quantize import Bounds
from hexconv.refine import (
    BIASES,
    LEAST,
    RANGES,
    CrossValidation,
    Fold,
    Journal,
    Judge,
    Recipe,
    Sample,
    Ticks,
    first_samples,
    folds,
    journal_of,
    too_few,
)
from hexconv.settings import Settings, SettingsDict
from hexconv.tensor_ranges import Ranges, Samples, observed_ranges

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack


@checks_types()
def to_qdq(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    **settings: Unpack[SettingsDict],
) -> tuple[onnx.ModelProto, list[str]]:
    """Quantize a model as ONNX.

    Args:
        source: path of an .onnx file, or a proto.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        samples: as for `convert`.
        ranges: a `tensor@@min,max` file, or (min, max) by tensor name.
        **settings: as for `convert`.

    Returns:
        The model, of the oldest opset from 13 on that says the same; and warnings about where its
        ranges come from.

    Raises:
        HexconvError: the model, samples or ranges cannot be used, or ONNX Runtime cannot run what
            its quantizer made.
    """
    chosen = Settings.of(settings)
    kept = _kept(samples)
    asked = source_of(source, shapes, chosen)
    source, shapes = asked.model, asked.shapes
    graph = load(source, shapes, recognize=chosen.optimize != "none")
    write_out_recent_ops(graph)
    job = _Job(source, shapes, chosen, graph)
    return job.refined(kept, ranges) if chosen.accuracy == "high" else job.made(kept, ranges)


@dataclass(frozen=True)
class _Job:
    """One model that is quantized, once or again and again.

    Attributes:
        source, shapes, settings: as for `to_qdq`.
        graph: the float model that the quantizer reads.
    """

    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]] | None
    settings: Settings
    graph: FloatGraph

    def made(
        self, samples: Samples | None, ranges: Ranges | None
    ) -> tuple[onnx.ModelProto, list[str]]:
        """The model with ranges from samples, or given ones; and warnings."""
        observed, warnings, _ = observed_ranges(self.graph, samples, ranges, self.settings)
        found = plain_ranges(self.graph, observed)
        found.update(
            dsp_ranges(self.source, self.shapes, samples, ranges, self.settings, self.graph)
        )
        clip_early(self.graph, found)
        made = quantized(self.graph, found)
        opened(made)
        return made, warnings

    def refined(
        self, samples: Samples | None, ranges: Ranges | None
    ) -> tuple[onnx.ModelProto, list[str]]:
        """The model that `accuracy="high"` makes; the default's where no step helps."""
        listed = first_samples(samples, self.graph, self.settings)
        parts = folds(listed)
        made, warnings = self.made(samples, ranges)
        if len(listed) < LEAST:
            return made, [*warnings, too_few(len(listed))]
        lowered, _ = prepared(self.source, self.shapes, self.settings)
        given = observed_ranges(lowered, listed, ranges, self.settings).ranges if ranges else None
        whole = journal_of("qdq", self.graph, self.settings, listed, given or {})
        ticks = Ticks(self.settings.progress)

        def quantized_on(fit: Sequence[Sample], journal: Journal) -> Quantized:
            def build(found: Mapping[str, Bounds]) -> onnx.ModelProto:
                return self.made(fit, found)[0]

            start = (self.graph, [lowered], fit, self.settings, build, given)
            return Quantized(*start, journal, ticks)

        def fold(number: int, fit: Sequence[Sample], judged: Sequence[Sample]) -> Fold[Any]:
            journal = whole.part(f"fold-{number}")
            judge = partial(Judge, self.graph, judged, self.settings.library)
            return Fold(partial(quantized_on, fit, journal), judge, journal)

        validation = CrossValidation([fold(n, *part) for n, part in enumerate(parts)], ticks)
        for step in (*(() if given is not None else RANGES[:1]), *BIASES):
            validation.tries(step)
        if validation.best != Recipe():
            made, warnings = quantized_on(listed, whole.part("all")).made(validation.best), []
        whole.close()
        return made, warnings


def _kept(samples: Samples | None) -> Samples | None:
    """Samples that can be read twice."""
    if samples is None or isinstance(samples, (Images, str, Path, Mapping, Sequence)):
        return samples
    return cast("list[Mapping[str, Any]]", list(samples))
