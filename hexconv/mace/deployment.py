"""Write the deployment YAML that MACE's tools take (facts/mace-contract.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hexconv.errors import ConfigError
from hexconv.mace.deployment_file import DeclaredTensor, Deployment, commas, in_format
from hexconv.mace.write import FORMAT_NHWC, data_format
from hexconv.nnlib.graph import Graph, Interface

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


@dataclass(frozen=True)
class Source:
    """The ONNX file that a deployment names.

    Attributes:
        path: of it; empty where it is not known.
        sha256: its checksum, hexadecimal.
    """

    path: str = ""
    sha256: str = ""


def deployment_yaml(
    graph: Graph, *, source: Source, ranges: bool, given: Deployment | None, folder: Path
) -> str:
    """The YAML of a converted model.

    Args:
        graph: of the model.
        source: the ONNX file that the YAML names.
        ranges: whether a range file is written beside it.
        given: the user's own YAML that asked for the conversion; what it says is kept.
        folder: where the YAML will be.

    Raises:
        ConfigError: it would overwrite the user's own YAML by another.
    """
    document = deployment(graph, source=source, ranges=ranges, given=given, folder=folder)
    target = folder / f"{graph.name}.yml"
    if given is not None and target.exists() and target.samefile(given.path):
        if document != given.document:
            raise ConfigError(
                "the output would overwrite the deployment file that it is made from",
                where=str(target),
                hint="write to another folder with -o, or give the model another --name",
            )
        return given.path.read_text(encoding="utf-8-sig")
    return dump(document)


def deployment(
    graph: Graph, *, source: Source, ranges: bool, given: Deployment | None, folder: Path
) -> dict[str, Any]:
    """As `deployment_yaml`, as plain data: shapes and ranges are comma strings, as MACE wants."""
    name = graph.name
    document = dict(given.document) if given else {}
    old = dict(document.pop("models", {}).get(given.name, {})) if given else {}
    old_graph = _first_subgraph(old.get("subgraphs"))
    path = relative(source.path, folder) if source.path else f"{name}.onnx"
    entry: dict[str, Any] = {
        "platform": "onnx",
        "model_file_path": path,
        "model_sha256_checksum": source.sha256,
        "subgraphs": [_subgraph(graph, ranges, given, old_graph, folder)],
    }
    for key, value in {**ENTRY, **old}.items():
        if key not in old_graph and key != "quantize_range_file":
            entry.setdefault(key, value)
    return {**TOP, "library_name": name, **document, "models": {name: entry}}


def _first_subgraph(subgraphs: Any) -> Mapping[str, Any]:
    """MACE takes a list of subgraphs, or a mapping by name."""
    if not subgraphs:
        return {}
    first: Mapping[str, Any]
    first = subgraphs[0] if isinstance(subgraphs, list) else next(iter(subgraphs.values()))
    return first


def dump(document: Mapping[str, Any]) -> str:
    """YAML text with keys in the given order."""
    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000))


def _subgraph(
    graph: Graph, ranges: bool, given: Deployment | None, old: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    inputs, outputs = graph.inputs, graph.outputs
    declared: dict[str, DeclaredTensor] = {}
    if given is not None:
        declared = {item.name: item for item in (*given.inputs, *given.outputs)}
    subgraph: dict[str, Any] = {
        "input_tensors": [item.name for item in inputs],
        "input_shapes": [_shape(item, declared) for item in inputs],
        "input_ranges": [_range(item, declared) for item in inputs],
        "input_data_formats": [_format(item, declared) for item in inputs],
        "output_tensors": [item.name for item in outputs],
        "output_shapes": [_shape(item, declared) for item in outputs],
        "output_data_formats": [_format(item, declared) for item in outputs],
    }
    if given is None:
        subgraph["backend"] = "pytorch"
    elif given.samples:
        subgraph["validation_inputs_data"] = [
            relative(given.samples[item.name], folder) for item in inputs
        ]
    for key, value in old.items():
        subgraph.setdefault(key, value)
    subgraph.pop("quantize_range_file", None)
    if ranges:
        subgraph["quantize_range_file"] = f"{graph.name}.ranges"
    return subgraph


def _shape(item: Interface, declared: Mapping[str, DeclaredTensor]) -> str:
    return commas(in_format(item.shape, _format(item, declared)))


def _range(item: Interface, declared: Mapping[str, DeclaredTensor]) -> str:
    told = declared[item.name].range if item.name in declared else None
    return commas(told or item.range)


def _format(item: Interface, declared: Mapping[str, DeclaredTensor]) -> str:
    """As the user's YAML has it.

    Without one, NCHW for tensors that MACE's runtime turns around, and NONE for those that it
    hands over as they are.

    Raises:
        ConfigError: the YAML says NHWC of a 4-D tensor that no op takes channels last.
    """
    turned = data_format(item) == FORMAT_NHWC
    if item.name not in declared:
        return "NCHW" if turned else "NONE"
    form = declared[item.name].format
    if form == "NHWC" and len(item.shape) == 4 and not turned:
        raise ConfigError(
            f"'{item.name}' cannot be NHWC",
            why="no op of the model takes it as an image; MACE would hand it over as it is",
            hint="write its data format as NONE and its shape as the ONNX model has it",
        )
    return form


def relative(source: str | Path, folder: Path) -> str:
    """A path as a file in `folder` names it."""
    return Path(os.path.relpath(source, folder)).as_posix()
