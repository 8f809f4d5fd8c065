"""Convert the model of a MACE deployment YAML: `hexconv convert --config my_dsp.yml`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from hexconv.argument_types import checks_types
from hexconv.conversion import convert
from hexconv.mace.deployment_file import Deployment, read_deployment
from hexconv.mace.preset_model import of_preset
from hexconv.model import Model
from hexconv.onnx_graph.read import read_model
from hexconv.onnx_graph.subgraph import as_far_as_known
from hexconv.paths import is_file
from hexconv.settings import SettingsDict
from hexconv.tensor_ranges import Ranges, Samples

if TYPE_CHECKING:
    from typing_extensions import Unpack


@checks_types()
def convert_deployment(
    config: str | Path,
    source: str | Path | None = None,
    *,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    preset: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    only: str = "",
    **settings: Unpack[SettingsDict],
) -> Model:
    """Convert the model of a deployment YAML; its settings are carried over to the new YAML.

    Args:
        config: the YAML.
        source: an ONNX file to use instead of the one that the YAML names.
        samples: instead of the YAML's `validation_inputs_data`.
        ranges: instead of the YAML's `quantize_range_file`.
        preset: the YAML is a preset: tensors, shapes and ranges are the model's, its files are
            looked up in the current folder, and may be missing.
        shapes: of a preset's model, for inputs with dynamic dimensions.
        only: the model to convert, of a YAML that holds several.
        **settings: see `hexconv.settings.Settings`; `shapes` comes from the YAML.

    Raises:
        ConfigError: mistakes in the YAML, a wrong checksum, or a contradiction to the model.
        HexconvError: as `hexconv.convert`.
    """
    model_file = None if source is None else Path(source)
    asked = read_deployment(Path(config), model_file, beside=not preset, name=only)
    asked.check_file()
    if preset:
        asked, fixed, declared = of_preset(asked, shapes or {})
    else:
        interface = interface_of(asked, settings)
        settings.update(interface.settings)
        asked = interface.asked
        fixed, declared = asked.shapes, asked.input_ranges
    warnings = list(asked.warnings)
    samples = samples if samples is not None else (asked.samples or None)
    if ranges is None and asked.range_file is not None:
        if is_file(asked.range_file):
            ranges = asked.range_file
        elif samples is not None and not preset:
            warnings.append(f"there is no range file {asked.range_file}: calibrated on the samples")
        elif not preset:
            asked.check_ranges()
    if samples is None and ranges is None and not preset:
        asked.check_samples()
    settings["name"] = settings.get("name") or asked.name
    settings["data_formats"] = {**asked.data_formats, **settings.get("data_formats", {})}
    settings["input_ranges"] = {**declared, **settings.get("input_ranges", {})}
    model = convert(asked.model_file, shapes=fixed, samples=samples, ranges=ranges, **settings)
    asked.check_outputs({item.name: item.shape for item in model.graph.outputs})
    assert model.conversion is not None
    told = (*model.conversion.warnings, *warnings)
    return replace(model, deployment=asked, conversion=replace(model.conversion, warnings=told))


@dataclass(frozen=True)
class YamlInterface:
    """What a deployment YAML makes of the model's interface.

    Attributes:
        asked: the deployment, its inputs' shapes with as many axes as the model's.
        settings: `inputs` and `outputs`, where the YAML names other tensors than the model's own.
    """

    asked: Deployment
    settings: SettingsDict


def interface_of(asked: Deployment, settings: SettingsDict) -> YamlInterface:
    """Check the YAML's tensors against the model's, before anything is converted.

    Inputs and outputs may be inner tensors, as in MACE; outputs of integers may be left out.

    Raises:
        ConfigError: unknown names, or shapes that contradict, with their lines.
        HexconvError: the model cannot be read.
    """
    graph = read_model(asked.model_file)[0].graph
    computed = {str(value.name): value for node in graph for value in node.outputs if value.name}
    bound = {*settings.get("constants", {}), *graph.initializers}
    own = {str(value.name): value for value in graph.inputs if value.name not in bound}
    named = [item.name for item in asked.inputs]
    chosen: SettingsDict = {}
    if any(name in computed for name in named) and not settings.get("inputs"):
        chosen["inputs"] = named
    inner = {*settings.get("inputs", ()), *chosen.get("inputs", ())} & {*computed}
    known = own if not inner else {**own, **_shaped(asked, inner)}
    required = {
        name: v for name, v in known.items() if name in named or (not inner and _is_read(v))
    }
    inputs = {name: _declared(value, asked) for name, value in required.items()}
    outputs = _outputs(asked, graph, computed)
    if outputs != [str(value.name) for value in graph.outputs]:
        chosen["outputs"] = outputs
    asked.check_model(inputs, outputs)
    return YamlInterface(asked.of_model(inputs), chosen)


def _shaped(asked: Deployment, names: Iterable[str]) -> dict[str, ir.Value]:
    """Inner tensors, with their shapes where those are known without the YAML."""
    pieces = as_far_as_known(asked.model_file)
    return {name: pieces.values[name] for name in names}


def _declared(value: ir.Value, asked: Deployment) -> tuple[int, ...]:
    if value.shape is not None:
        return tuple(size if isinstance(size, int) else 0 for size in value.shape)
    return next((item.shape for item in asked.inputs if item.name == value.name), ())


def _outputs(asked: Deployment, graph: ir.Graph, computed: Container[str]) -> list[str]:
    """The model's outputs; those of the YAML, if it names inner tensors or leaves out integers."""
    own = {str(value.name): value for value in graph.outputs}
    named = [item.name for item in asked.outputs]
    left = [value.dtype for name, value in own.items() if name not in named]
    integers = all(dtype is not None and not dtype.is_floating_point() for dtype in left)
    inner = any(name not in own and name in computed for name in named)
    known = all(name in own or name in computed for name in named)
    return named if known and (inner or (left and integers)) else list(own)


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()
