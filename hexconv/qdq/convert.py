"""The model as quantized ONNX (QuantizeLinear, DequantizeLinear), for runtimes other than MACE's.

Snapdragons from the 888 on (Hexagon v68 and later) do not run the Hexagon NN library; ONNX
Runtime's QNN execution provider, and other int8 runtimes, take this form. Activations are uint8 in
the ranges of the DSP model, weights int8 for each output channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hexconv.asked_model import source_of
from hexconv.calibrate import Images
from hexconv.errors import ConfigError
from hexconv.onnx_graph import load
from hexconv.qdq.opset import write_out_recent_ops
from hexconv.qdq.quantizer import quantized
from hexconv.qdq.ranges import clip_early, dsp_ranges, plain_ranges
from hexconv.qdq.sessions import opened
from hexconv.settings import Settings, SettingsDict
from hexconv.tensor_ranges import Ranges, Samples, observed_ranges

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack


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
    if chosen.accuracy == "high":
        raise ConfigError(
            "--accuracy high is of the DSP model, which it simulates",
            where="the model as QDQ",
            hint="use --accuracy default",
        )
    kept = _kept(samples)
    asked = source_of(source, shapes, chosen)
    source, shapes = asked.model, asked.shapes
    graph = load(source, shapes, recognize=chosen.optimize != "none")
    write_out_recent_ops(graph)
    observed, warnings = observed_ranges(graph, kept, ranges, chosen)
    found = plain_ranges(graph, observed)
    found.update(dsp_ranges(source, shapes, kept, ranges, chosen, graph))
    clip_early(graph, found)
    made = quantized(graph, found)
    opened(made)
    return made, warnings


def _kept(samples: Samples | None) -> Samples | None:
    """Samples that can be read twice."""
    if samples is None or isinstance(samples, (Images, str, Path, Mapping, Sequence)):
        return samples
    return cast("list[Mapping[str, Any]]", list(samples))
