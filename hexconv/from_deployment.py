"""Convert the model of a MACE deployment YAML: `hexconv convert --config my_dsp.yml`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from hexconv.conversion import convert
from hexconv.mace.deployment_file import Deployment, read_deployment
from hexconv.model import Model
from hexconv.onnx_graph.read import read_model
from hexconv.pipeline import Ranges, Samples
from hexconv.settings import SettingsDict

if TYPE_CHECKING:
    from typing_extensions import Unpack


def convert_deployment(
    config: str | Path,
    source: str | Path | None = None,
    *,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    preset: bool = False,
    only: str = "",
    **settings: Unpack[SettingsDict],
) -> Model:
    """Convert the model of a deployment YAML; its settings are carried over to the new YAML.

    Args:
        config: the YAML.
        source: an ONNX file to use instead of the one that the YAML names.
        samples: instead of the YAML's `validation_inputs_data`.
        ranges: instead of the YAML's `quantize_range_file`.
        preset: the YAML is a preset: its files are looked up in the current folder, and may be
            missing.
        only: the model to convert, of a YAML that holds several.
        **settings: see `hexconv.settings.Settings`; `shapes` comes from the YAML.

    Raises:
        ConfigError: mistakes in the YAML, a wrong checksum, or a contradiction to the model.
        HexconvError: as `hexconv.convert`.
    """
    model_file = None if source is None else Path(source)
    asked = read_deployment(Path(config), model_file, beside=not preset, name=only)
    asked.check_file()
    asked = check_interface(asked)
    warnings = list(asked.warnings)
    samples = samples if samples is not None else (asked.samples or None)
    if ranges is None and asked.range_file is not None:
        if asked.range_file.is_file():
            ranges = asked.range_file
        elif samples is not None:
            warnings.append(f"there is no range file {asked.range_file}: calibrated on the samples")
        elif not preset:
            asked.check_ranges()
    if samples is None and ranges is None and not preset:
        asked.check_samples()
    settings["name"] = settings.get("name") or asked.name
    settings["data_formats"] = {**asked.data_formats, **settings.get("data_formats", {})}
    settings["input_ranges"] = {**asked.input_ranges, **settings.get("input_ranges", {})}
    model = convert(
        asked.model_file, shapes=asked.shapes, samples=samples, ranges=ranges, **settings
    )
    asked.check_outputs({item.name: item.shape for item in model.graph.outputs})
    assert model.conversion is not None
    told = (*model.conversion.warnings, *warnings)
    return replace(model, deployment=asked, conversion=replace(model.conversion, warnings=told))


def check_interface(asked: Deployment) -> Deployment:
    """Check the YAML's tensors against the model's, before anything is converted.

    Returns:
        The deployment, its inputs' shapes with as many axes as the model's.

    Raises:
        ConfigError: unknown names, or shapes that contradict, with their lines.
        HexconvError: the model cannot be read.
    """
    graph = read_model(asked.model_file)[0].graph
    named = {item.name for item in asked.inputs}
    inputs = {
        str(value.name): tuple(size if isinstance(size, int) else 0 for size in value.shape)
        if value.shape is not None
        else next((item.shape for item in asked.inputs if item.name == value.name), ())
        for value in graph.inputs
        if value.name not in graph.initializers and (value.name in named or _is_read(value))
    }
    asked.check_model(inputs, [str(value.name) for value in graph.outputs])
    return asked.of_model({name: len(shape) for name, shape in inputs.items()})


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()
