"""Convert the DSP part of a model that is cut in two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from onnx.helper import tensor_dtype_to_np_dtype

from hexconv.argument_types import checks_types
from hexconv.arrays import are_numbers
from hexconv.asked_model import source_of
from hexconv.calibrate import read_samples
from hexconv.calibrate.chunks import in_chunks
from hexconv.conversion import convert
from hexconv.conversion_record import Parts
from hexconv.model import Model
from hexconv.model_names import model_name
from hexconv.raw_tensors import DataFormat
from hexconv.settings import Settings, SettingsDict
from hexconv.splitting.parts import AUTO, split
from hexconv.tensor_ranges import Ranges, Samples

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

NOT_CUT = "--split auto: the DSP runs the whole model, nothing was cut off"


@checks_types()
def convert_split(
    source: str | Path | onnx.ModelProto,
    at: str | Sequence[str] = AUTO,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    **settings: Unpack[SettingsDict],
) -> Model:
    """Cut a model and convert the DSP part; the model returned saves the CPU part beside it.

    Args:
        source: an .onnx file or proto.
        at: names of tensors, or "auto".
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        samples: for the whole model's inputs; as for `hexconv.convert`.
        ranges: as for `hexconv.convert`; those of the CPU part's tensors are not needed.
        **settings: see `hexconv.settings.Settings`.

    Raises:
        HexconvError: as `hexconv.split` and `hexconv.convert`.
    """
    asked = source_of(source, shapes, Settings.of(settings))
    name = settings.get("name") or model_name(source)
    done: SettingsDict = {"constants": {}, "inputs": (), "outputs": (), "stateful": False}
    settings = {**settings, "name": name, **done}
    if asked.axes and samples is not None:
        samples = in_chunks(samples, asked.model, asked.shapes, asked.axes)
    parts = split(asked.model, at, asked.shapes, **settings)
    if parts.cpu is None:
        model = convert(asked.model, asked.shapes, samples, ranges, **settings)
        assert model.conversion is not None
        warnings = (*model.conversion.warnings, NOT_CUT)
        told = replace(model.conversion, warnings=warnings)
        return replace(model, conversion=told, front=asked.front, axes=asked.axes)
    fed = samples_of(parts, samples, settings.get("data_formats"))
    model = convert(parts.dsp, None, fed, ranges, **settings)
    assert model.conversion is not None
    told = replace(model.conversion, source=parts.source)
    return replace(model, conversion=told, parts=parts, front=asked.front)


@dataclass(frozen=True)
class _Input:
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Fed:
    inputs: tuple[_Input, ...]
    dropped_inputs: tuple[str, ...]
    open_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def takes(self, name: str, dtype: npt.DTypeLike) -> bool:
        declared = {item.name: item.dtype for item in self.inputs}
        return are_numbers(dtype, floats=declared[name].kind == "f")


def samples_of(
    parts: Parts, samples: Samples | None, formats: Mapping[str, DataFormat] | None = None
) -> Samples | None:
    """Samples for the whole model as those of its DSP part; `formats` as for `read_samples`."""
    if samples is None or not parts.only_cpu:
        return samples
    return _without_others(parts, samples, formats)


def _without_others(
    parts: Parts, samples: Samples, formats: Mapping[str, DataFormat] | None
) -> Iterator[Mapping[str, Any]]:
    inputs = tuple(
        _Input(
            item.name,
            tuple(dim.dim_value for dim in item.type.tensor_type.shape.dim),
            np.dtype(tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)),
        )
        for item in parts.dsp.graph.input
    )
    yield from read_samples(samples, _Fed(inputs, parts.only_cpu), formats)
