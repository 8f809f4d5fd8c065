"""What takes the place of functions of MACE's scripts, for ONNX models on the DSP.

MACE's own configurations are dicts: normalized ones hold enums and numbers (tools/python/utils/
config_parser.py), those of tools/converter.py the YAML's words.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import yaml

from hexconv.errors import ConfigError, FileError
from hexconv.from_deployment import convert_deployment
from hexconv.mace.deployment_rules import as_list
from hexconv.mace.interface_rules import commas
from hexconv.mace_workflow.net_def import net_with_data
from hexconv.onnx_graph.reference import as_exported, needs_reference, reference_model
from hexconv.raw_tensors import four_sizes
from hexconv.settings import SettingsDict

SOURCE = "hexconv_source"
"""Key under which a configuration remembers its model's own path: MACE copies the file alone."""

NO_MICRO = "MACE Micro is for microcontrollers, this converts for the DSP"

Config = dict[str, Any]


@dataclass
class InPlace:
    """hexconv's functions for one run of a script.

    Args:
        validates: whether the script compares with ONNX Runtime.
        folder: for reference models, while the script runs.
        settings: of conversions.
        samples: for calibration, in place of the YAML's.
        tell: called with a line for the user.
    """

    validates: bool
    folder: Path
    settings: SettingsDict
    samples: Any
    tell: Callable[[str], None]

    def functions(self) -> dict[str, Callable[[Any], Any]]:
        """What makes a replacement of a function of MACE, by its name."""
        return {
            "convert_net": self.convert_net,
            "normalize_model_config": self.normalize_model_config,
            "format_model_config": self.format_model_config,
        }

    def convert_net(self, original: Any) -> Any:
        """In place of convert.py's: ONNX for the DSP is converted by hexconv."""

        def convert_net(net_name: str, conf: Config, enable_micro: bool = False) -> Any:
            if not _is_ours(conf) or conf.get("quantize_stat"):
                return original(net_name, conf, enable_micro)
            if enable_micro:
                raise ConfigError(NO_MICRO, hint="leave --enable_micro out")
            from py_proto import mace_pb2

            self.tell(f"hexconv converts {conf.get(SOURCE, conf['model_file_path'])}")
            graph = self._converted(conf)
            return net_with_data(graph, mace_pb2.NetDef, net_name, int(conf.get("order", 0)))

        return convert_net

    def _converted(self, conf: Config) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.yml"
            path.write_text(yaml.safe_dump(as_yaml(conf)), encoding="utf-8")
            try:
                model = convert_deployment(path, samples=self.samples, **self.settings)
            except (ConfigError, FileError) as error:
                where = re.sub(r"\S*model\.yml(, line \d+)?", "the YAML", error.where)
                raise type(error)(error.what, where=where, why=error.why, hint=error.hint) from None
        for text in model.conversion.warnings if model.conversion else ():
            self.tell(f"warning: {text}")
        return model.graph

    def normalize_model_config(self, original: Any) -> Any:
        """In place of config_parser's: inputs have the four sizes that MACE's runtime reads."""

        def normalize_model_config(
            conf: Config, model_output: str | None = None, org_model_dir: str | None = None
        ) -> Config:
            source = conf.get("model_file_path", "")
            result: Config = original({**conf, SOURCE: source}, model_output, org_model_dir)
            graphs = list(result.get("subgraphs", {}).values())
            for graph in graphs:
                if _is_ours(graph):
                    _widen(graph, _none_of(graph), list)
            if self.validates and model_output is None and any(map(_is_ours, graphs)):
                self._name_reference(result, graphs)
            return result

        return normalize_model_config

    def format_model_config(self, original: Any) -> Any:
        """In place of tools/converter.py's, as `normalize_model_config`."""

        def format_model_config(flags: Any) -> Config:
            result: Config = original(flags)
            for entry in result["models"].values():
                graphs = list(entry["subgraphs"].values())
                ours = [graph for graph in graphs if _is_ours({**entry, **graph})]
                for graph in ours:
                    _widen(graph, "NONE", _commas)
                if self.validates and ours:
                    self._name_reference(entry, graphs)
            return result

        return format_model_config

    def _name_reference(self, entry: Config, graphs: list[Config]) -> None:
        """Put the reference model in place of one that MACE's tools cannot feed."""
        source = _model_file(entry)
        if not source.is_file():
            return
        model = as_exported(onnx.load(source))
        fed = _fed(model, graphs)
        if not needs_reference(model, fed):
            return
        content = reference_model(model, fed).SerializeToString(deterministic=True)
        if content == source.read_bytes():
            return
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.folder / f"{sha256}.onnx"
        path.write_bytes(content)
        entry["model_file_path"] = str(path)
        entry["model_sha256_checksum"] = sha256


def _fed(model: onnx.ModelProto, graphs: list[Config]) -> dict[str, tuple[int, ...]]:
    """The ONNX shape of each input that MACE has: without the leading ones of lower ranks."""
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.input}
    fed = {}
    for graph in graphs:
        for name, shape in zip(graph["input_tensors"], graph["input_shapes"], strict=True):
            sizes = _sizes(shape)
            fed[name] = tuple(sizes[len(sizes) - ranks.get(name, len(sizes)) :])
    return fed


def _model_file(conf: Mapping[str, Any]) -> Path:
    """The model's own file, with its external data beside it; MACE's copy of a downloaded one."""
    source = Path(str(conf.get(SOURCE) or conf["model_file_path"]))
    return source if source.is_file() else Path(conf["model_file_path"])


def _word(value: Any) -> str:
    """An enum of MACE's, or the YAML's own word, in lower case."""
    return str(getattr(value, "name", value)).lower()


def _is_ours(conf: Mapping[str, Any]) -> bool:
    """Whether a configuration is of an ONNX model for the Hexagon DSP."""
    runtime = _word(conf.get("runtime", ""))
    return _word(conf.get("platform", "")) == "onnx" and runtime in ("hexagon", "dsp")


def _none_of(graph: Config) -> Any:
    """DataFormat.NONE, of the enum that a configuration holds."""
    return type(graph["input_data_formats"][0])["NONE"]


def _sizes(shape: Any) -> list[int]:
    parts = shape.split(",") if isinstance(shape, str) else shape
    return [int(size) for size in parts]


def _widen(graph: Config, none: Any, made: Callable[[list[int]], Any]) -> None:
    """Four sizes of inputs that have more or fewer; their axes have no meaning then."""
    shapes, formats = list(graph["input_shapes"]), list(graph["input_data_formats"])
    for index, shape in enumerate(shapes):
        sizes = _sizes(shape)
        if len(sizes) != 4:
            shapes[index] = made(list(four_sizes(sizes)))
            formats[index] = none
    graph["input_shapes"], graph["input_data_formats"] = shapes, formats


WORDS = {1: "float32", 2: "uint8", 4: "int32", 5: "float16", 7: "int16"}
"""The YAML's words for MACE's data types of inputs and outputs."""

KEPT = (
    "quantize_schema",
    "quantize_large_weights",
    "graph_optimize_options",
    "accelerator_api",
    "check_tensors",
    "order",
)
"""Keys that hexconv judges as it does in a YAML; obfuscation is done by MACE afterwards."""


def as_yaml(conf: Mapping[str, Any]) -> Config:
    """A normalized configuration as the document of a deployment YAML, files named absolutely."""
    graph: Config = {}
    if conf.get("input_ranges"):
        graph["input_ranges"] = [_commas(bounds) for bounds in conf["input_ranges"]]
    for side in ("input", "output"):
        graph[f"{side}_tensors"] = list(conf[f"{side}_tensors"])
        graph[f"{side}_shapes"] = [_commas(shape) for shape in conf[f"{side}_shapes"]]
        graph[f"{side}_data_formats"] = [_word(f).upper() for f in conf[f"{side}_data_formats"]]
        kinds = as_list(conf.get(f"{side}_data_types"))
        if kinds:
            graph[f"{side}_data_types"] = [WORDS.get(kind, str(kind)) for kind in kinds]
        if f"{side}_aliases" in conf:
            graph[f"{side}_aliases"] = conf[f"{side}_aliases"]
    if conf.get("quantize_range_file"):
        graph["quantize_range_file"] = _absolute(conf["quantize_range_file"])
    data = as_list(conf.get("validation_inputs_data"))
    if data:
        graph["validation_inputs_data"] = [_absolute(name) for name in data]
    entry: Config = {
        "platform": "onnx",
        "model_file_path": str(_model_file(conf).resolve()),
        "model_sha256_checksum": str(conf["model_sha256_checksum"]),
        "runtime": "dsp",
        "quantize": conf.get("quantize", 0),
        "subgraphs": [graph],
    }
    entry.update({key: conf[key] for key in KEPT if key in conf})
    if "check_shapes" in conf:
        entry["check_shapes"] = [_commas(shape) for shape in conf["check_shapes"]]
    return {"models": {"model": entry}}


def _commas(values: Any) -> str:
    return values if isinstance(values, str) else commas(values)


def _absolute(name: str) -> str:
    return name if name.startswith(("http://", "https://")) else str(Path(name).resolve())
