"""Convert what a MACE deployment YAML asks for: `hexconv convert --config my_dsp.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hexconv.conversion import Ranges, Samples, convert
from hexconv.mace.deployment_file import Deployment, read_deployment
from hexconv.model import Model
from hexconv.onnx_graph.read import read_model


def convert_deployment(
    config: str | Path,
    source: str | Path | None = None,
    *,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    **settings: Any,
) -> Model:
    """Convert the model of a deployment YAML; its words go into the YAML that is written.

    Args:
        config: the YAML.
        source: an ONNX file to take in place of the one that the YAML names.
        samples: in place of the YAML's `validation_inputs_data`.
        ranges: in place of the YAML's `quantize_range_file`.
        **settings: see `hexconv.conversion.Settings`; `shapes` comes from the YAML.

    Raises:
        ConfigError: mistakes in the YAML, a wrong checksum, or a contradiction to the model.
        HexconvError: as `hexconv.convert`.
    """
    asked = read_deployment(Path(config), Path(source) if source is not None else None)
    asked.check_file()
    check_interface(asked)
    settings["name"] = settings.get("name") or asked.name
    settings["input_ranges"] = {**asked.input_ranges, **settings.get("input_ranges", {})}
    model = convert(
        asked.model_file,
        shapes=asked.shapes,
        samples=samples if samples is not None else (asked.samples or None),
        ranges=ranges if ranges is not None else asked.range_file,
        **settings,
    )
    asked.check_outputs({item.name: item.shape for item in model.graph.outputs})
    model.deployment = asked
    return model


def check_interface(asked: Deployment) -> None:
    """Hold the YAML's tensors to the model's, before anything is converted.

    Raises:
        ConfigError: unknown names, or shapes that contradict, with their lines.
        HexconvError: the model cannot be read.
    """
    graph = read_model(asked.model_file)[0].graph
    inputs = {
        str(value.name): tuple(size if isinstance(size, int) else 0 for size in value.shape)
        if value.shape is not None
        else next((item.shape for item in asked.inputs if item.name == value.name), ())
        for value in graph.inputs
        if value.name not in graph.initializers
    }
    asked.check_model(inputs, [str(value.name) for value in graph.outputs])
