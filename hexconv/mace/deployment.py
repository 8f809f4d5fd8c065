"""Write the deployment YAML that MACE's tools read (docs/nnlib/mace-contract.md#yaml)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hexconv.errors import ConfigError
from hexconv.mace.deployment_file import Deployment
from hexconv.mace.deployment_rules import as_list
from hexconv.mace.interface_rules import DeclaredTensor, commas
from hexconv.nnlib.graph import Graph, Interface
from hexconv.raw_tensors import DataFormat, four_sizes, in_format

TOP = {
    "library_name": "",
    "target_abis": ["arm64-v8a"],
    "model_graph_format": "file",
    "model_data_format": "file",
}
ENTRY = {
    "runtime": "dsp",
    "quantize": 1,
    "limit_opencl_kernel_time": 0,
    "nnlib_graph_mode": 0,
    "obfuscate": 0,
}
FILES = (
    "validation_outputs_data",
    "accuracy_validation_script",
    "weight_file_path",
    "dockerfile_path",
)
"""Keys that name files."""


@dataclass(frozen=True)
class Place:
    """Where a deployment is written, and what its YAML names.

    Attributes:
        folder: where the YAML will be.
        model: the ONNX file; empty where it is not known.
        sha256: its checksum, hexadecimal.
        ranges: whether a range file is written beside it.
        inputs: raw files of the model's inputs, written beside it, by input.
        absolute: name files by absolute paths: MACE's tools look for others from the current
            folder, which is MACE's root.
    """

    folder: Path
    model: str = ""
    sha256: str = ""
    ranges: bool = False
    inputs: Mapping[str, Path] = field(default_factory=dict)
    absolute: bool = False

    def path(self, source: str | Path) -> str:
        """A path as the YAML names it."""
        if self.absolute:
            return Path(source).resolve().as_posix()
        return Path(os.path.relpath(source, self.folder)).as_posix()


def deployment_yaml(graph: Graph, place: Place, given: Deployment | None) -> str:
    """The YAML of a converted model.

    Args:
        graph: of the model.
        place: where it is written.
        given: the user's own YAML for the conversion; its settings and comments are kept.

    Raises:
        ConfigError: it would overwrite the user's own YAML by another.
    """
    document = deployment(graph, place, given)
    target = place.folder / f"{graph.name}.yml"
    if given is not None and target.exists() and target.samefile(given.path):
        if document != given.document:
            raise ConfigError(
                "the output would overwrite the deployment file that it is generated from",
                where=str(target),
                hint="write to another folder with -o, or give the model another --name",
            )
        return given.file.text
    if given is not None:
        kept = given.file.rewritten(document)
        if kept is not None:
            return kept
    return dump(document)


def deployment(graph: Graph, place: Place, given: Deployment | None) -> dict[str, Any]:
    """As `deployment_yaml`, as plain data: shapes and ranges are comma strings, as MACE needs."""
    name = graph.name
    document = dict(given.document) if given else {}
    old = dict(document.pop("models", {}).get(given.name, {})) if given else {}
    old_graph = _first_subgraph(old.get("subgraphs"))
    entry: dict[str, Any] = {
        "platform": "onnx",
        "model_file_path": place.path(place.model) if place.model else f"{name}.onnx",
        "model_sha256_checksum": place.sha256,
        "subgraphs": [_subgraph(graph, place, given, old_graph)],
    }
    for key, value in {**ENTRY, **old}.items():
        if key not in old_graph and key not in ("quantize_range_file", "validation_inputs_data"):
            entry.setdefault(key, _moved(key, value, place, given))
    return {**TOP, "library_name": name, **document, "models": {name: entry}}


def _first_subgraph(subgraphs: Any) -> Mapping[str, Any]:
    """MACE accepts a list of subgraphs, or a mapping by name."""
    if not subgraphs:
        return {}
    first: Mapping[str, Any]
    first = subgraphs[0] if isinstance(subgraphs, list) else next(iter(subgraphs.values()))
    return first


def dump(document: Mapping[str, Any]) -> str:
    """YAML text with keys in the given order."""
    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000))


def _subgraph(
    graph: Graph, place: Place, given: Deployment | None, old: Mapping[str, Any]
) -> dict[str, Any]:
    inputs, outputs = graph.inputs, graph.outputs
    declared: dict[str, DeclaredTensor] = {}
    if given is not None:
        declared = {item.name: item for item in (*given.inputs, *given.outputs)}
    subgraph: dict[str, Any] = {
        "input_tensors": [item.name for item in inputs],
        "input_shapes": [commas(input_sizes(item)) for item in inputs],
        "input_ranges": [_range(item, declared) for item in inputs],
        "input_data_formats": [item.data_format for item in inputs],
        "output_tensors": [item.name for item in outputs],
        "output_shapes": [commas(_output_sizes(item, declared)) for item in outputs],
        "output_data_formats": [_output_format(item, declared) for item in outputs],
    }
    if given is None:
        subgraph["backend"] = "pytorch"
    data = _validation_data(graph, place, given)
    if data:
        subgraph["validation_inputs_data"] = data
    for key, value in old.items():
        if key not in ("quantize_range_file", "validation_inputs_data"):
            subgraph.setdefault(key, _moved(key, value, place, given))
    if place.ranges:
        name = f"{graph.name}.ranges"
        subgraph["quantize_range_file"] = place.path(place.folder / name)
    return subgraph


def input_sizes(item: Interface) -> tuple[int, ...]:
    """An input's sizes as MACE's application passes them.

    MACE's runtime reads four of them whatever the rank (hexagon_dsp_wrapper.cc ExecuteGraphNew).
    """
    return four_sizes(in_format(item.shape, item.data_format))


def output_sizes(item: Interface) -> tuple[int, ...]:
    """An output's sizes as MACE's application receives them: their number is not read."""
    return in_format(item.raw_shape, item.data_format) or (1,)


def _output_sizes(item: Interface, declared: Mapping[str, DeclaredTensor]) -> tuple[int, ...]:
    """As the user's YAML has them; it may have leading ones."""
    whole = item.name in declared and item.slices is None
    return declared[item.name].written if whole else output_sizes(item)


def _output_format(item: Interface, declared: Mapping[str, DeclaredTensor]) -> DataFormat:
    """As the user's YAML has it, where MACE's tools read it so.

    NHWC of a 4-D tensor with leading ones is the same bytes, but they would transpose it to
    compare it with ONNX Runtime's.
    """
    told = declared.get(item.name)
    if told is None or len(item.shape) == 4 or len(told.written) == 4:
        return item.data_format
    return told.format


def _range(item: Interface, declared: Mapping[str, DeclaredTensor]) -> str:
    told = declared[item.name].range if item.name in declared else None
    return commas(told or item.range)


def _validation_data(graph: Graph, place: Place, given: Deployment | None) -> list[str]:
    """Raw files of the inputs: those written now, else those of the user's YAML."""
    if place.inputs:
        return [place.path(place.inputs[item.name]) for item in graph.inputs]
    if given is None:
        return []
    if given.samples:
        return [place.path(given.samples[item.name]) for item in graph.inputs]
    return list(given.remote_samples)


def _moved(key: str, value: Any, place: Place, given: Deployment | None) -> Any:
    """A value of the user's YAML; local files are named from where the new one is."""
    if given is None or key not in FILES:
        return value
    names = [_moved_file(str(name), place, given) for name in as_list(value)]
    return names if isinstance(value, list) else names[0]


def _moved_file(name: str, place: Place, given: Deployment) -> str:
    found = given.find(name)
    return place.path(found) if found.exists() else name
