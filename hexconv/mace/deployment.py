"""The deployment YAML that MACE's tools take (facts/mace-contract.md)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hexconv.mace.write import FORMAT_NHWC, data_format

if TYPE_CHECKING:
    from hexconv.model import Model
    from hexconv.nnlib.graph import Interface


def deployment_yaml(model: Model, folder: Path) -> str:
    """The YAML of a converted model, for a build in `folder`."""
    return dump(deployment(model, folder))


def deployment(model: Model, folder: Path) -> dict[str, Any]:
    """The YAML as plain data: shapes and ranges are comma strings, as MACE wants them."""
    source = model.conversion.source if model.conversion else ""
    entry: dict[str, Any] = {
        "platform": "onnx",
        "model_file_path": _relative(source, folder) if source else f"{model.name}.onnx",
        "model_sha256_checksum": model.conversion.sha256 if model.conversion else "",
        "subgraphs": [_subgraph(model)],
        "runtime": "dsp",
        "limit_opencl_kernel_time": 0,
        "nnlib_graph_mode": 0,
        "obfuscate": 0,
        "quantize": 1,
    }
    return {
        "library_name": model.name,
        "target_abis": ["arm64-v8a"],
        "model_graph_format": "file",
        "model_data_format": "file",
        "models": {model.name: entry},
    }


def dump(document: dict[str, Any]) -> str:
    """YAML text with keys in the given order."""
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000))


def _subgraph(model: Model) -> dict[str, Any]:
    inputs, outputs = model.graph.inputs, model.graph.outputs
    subgraph: dict[str, Any] = {
        "input_tensors": [item.name for item in inputs],
        "input_shapes": [commas(item.shape) for item in inputs],
        "input_ranges": [commas(item.range) for item in inputs],
        "input_data_formats": [_format(item) for item in inputs],
        "output_tensors": [item.name for item in outputs],
        "output_shapes": [commas(item.shape) for item in outputs],
        "output_data_formats": [_format(item) for item in outputs],
        "backend": "pytorch",
    }
    if model.ranges:
        subgraph["quantize_range_file"] = f"{model.name}.ranges"
    return subgraph


def _format(item: Interface) -> str:
    """NCHW tensors are turned around by MACE's runtime; all others are handed over as they are."""
    return "NCHW" if data_format(item) == FORMAT_NHWC else "NONE"


def commas(values: Sequence[float]) -> str:
    """`1,144,40`: a YAML list of numbers crashes MACE."""
    return ",".join(str(value) for value in values)


def _relative(source: str, folder: Path) -> str:
    return Path(os.path.relpath(source, folder)).as_posix()
