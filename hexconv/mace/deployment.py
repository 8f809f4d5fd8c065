"""Write the deployment YAML that MACE's tools take (facts/mace-contract.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hexconv.errors import ConfigError
from hexconv.mace.deployment_file import Tensor, commas, in_format
from hexconv.mace.write import FORMAT_NHWC, data_format

if TYPE_CHECKING:
    from hexconv.model import Model
    from hexconv.nnlib.graph import Interface

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


def deployment_yaml(model: Model, folder: Path) -> str:
    """The YAML of a converted model, for a build in `folder`.

    Raises:
        ConfigError: it would overwrite the user's own YAML by another.
    """
    document = deployment(model, folder)
    given = model.deployment
    target = folder / f"{model.name}.yml"
    if given is not None and target.exists() and target.samefile(given.path):
        if document != given.document:
            raise ConfigError(
                "the output would overwrite the deployment file that it is made from",
                where=str(target),
                todo="write to another folder with -o, or give the model another --name",
            )
        return given.path.read_text(encoding="utf-8-sig")
    return dump(document)


def deployment(model: Model, folder: Path) -> dict[str, Any]:
    """The YAML as plain data: shapes and ranges are comma strings, as MACE wants them.

    What the user's own YAML says beside the interface is kept.
    """
    given = model.deployment
    document = dict(given.document) if given else {}
    old = dict(document.pop("models", {}).get(given.name, {})) if given else {}
    graphs = old.get("subgraphs")
    old_graph = {} if not graphs else graphs[0] if isinstance(graphs, list) else next(
        iter(graphs.values())
    )  # fmt: skip
    source = model.conversion.source if model.conversion else ""
    entry: dict[str, Any] = {
        "platform": "onnx",
        "model_file_path": relative(source, folder) if source else f"{model.name}.onnx",
        "model_sha256_checksum": model.conversion.sha256 if model.conversion else "",
        "subgraphs": [_subgraph(model, old_graph, folder)],
    }
    for key, value in {**ENTRY, **old}.items():
        if key not in old_graph and key != "quantize_range_file":
            entry.setdefault(key, value)
    top = {**TOP, "library_name": model.name, **document}
    return {**top, "models": {model.name: entry}}


def dump(document: Mapping[str, Any]) -> str:
    """YAML text with keys in the given order."""
    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=1000))


def _subgraph(model: Model, old: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    given = model.deployment
    inputs, outputs = model.graph.inputs, model.graph.outputs
    declared: dict[str, Tensor] = {}
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
    if model.ranges:
        subgraph["quantize_range_file"] = f"{model.name}.ranges"
    return subgraph


def _shape(item: Interface, declared: Mapping[str, Tensor]) -> str:
    return commas(in_format(item.shape, _format(item, declared)))


def _range(item: Interface, declared: Mapping[str, Tensor]) -> str:
    told = declared[item.name].range if item.name in declared else None
    return commas(told or item.range)


def _format(item: Interface, declared: Mapping[str, Tensor]) -> str:
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
            todo="write its data format as NONE and its shape as the ONNX model has it",
        )
    return form


def relative(source: str | Path, folder: Path) -> str:
    """A path as a file in `folder` names it."""
    return Path(os.path.relpath(source, folder)).as_posix()
