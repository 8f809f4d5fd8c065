"""Read a user's deployment YAML: the conversion that it describes, checked for consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hexconv import resources
from hexconv.errors import ConfigError, FileError
from hexconv.files import sha256_of
from hexconv.mace.deployment_rules import Mistake, as_list, mistakes, raise_mistakes
from hexconv.mace.interface_rules import (
    DeclaredTensor,
    format_mistakes,
    input_mistakes,
    name_mistakes,
    output_mistakes,
)
from hexconv.mace.unsupported_keys import idle_keys, unsupported
from hexconv.mace.yaml_file import Place, YamlFile, read_yaml
from hexconv.names import did_you_mean
from hexconv.paths import is_file
from hexconv.raw_tensors import SUFFIXES, DataFormat

WHAT = "deployment file"
SAMPLE_SUFFIXES = (*SUFFIXES, ".npy", ".npz")


@dataclass(frozen=True)
class Deployment:
    """A deployment YAML of one ONNX model for the DSP.

    Attributes:
        path: of the YAML.
        document: its whole content as plain data.
        name: of the model.
        inputs, outputs: its interface.
        model_file: the ONNX file, found beside the YAML or from the current folder.
        sha256: what the file's checksum must be.
        range_file: `tensor@@min,max`, if the YAML names one.
        samples: `validation_inputs_data` by input, local files only.
        remote_samples: `validation_inputs_data` that MACE's tools would download.
        unusable_samples: why local `validation_inputs_data` cannot be read; empty if it can.
        warnings: keys that do not concern the DSP.
        home: the folder in which files are looked for first.
    """

    path: Path
    document: Mapping[str, Any]
    name: str
    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    model_file: Path
    sha256: str
    range_file: Path | None = None
    samples: Mapping[str, Path] = field(default_factory=dict)
    remote_samples: tuple[str, ...] = ()
    unusable_samples: str = ""
    warnings: tuple[str, ...] = ()
    file: YamlFile = field(default_factory=YamlFile, repr=False)
    home: Path = Path()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the inputs by name."""
        return {item.name: item.shape for item in self.inputs}

    @property
    def data_formats(self) -> dict[str, DataFormat]:
        """How MACE's application passes 4-D tensors, by name."""
        return {
            item.name: item.format
            for item in (*self.inputs, *self.outputs)
            if len(item.written) == 4 and item.rank in (None, 4)
        }

    @property
    def input_ranges(self) -> dict[str, tuple[float, float]]:
        """Declared ranges by input, where the file gives them."""
        return {item.name: item.range for item in self.inputs if item.range is not None}

    def check_file(self) -> None:
        """Check the model file against the YAML's checksum.

        Raises:
            FileError: there is no such file.
            ConfigError: it is another one, with both sums.
        """
        if not is_file(self.model_file):
            raise FileError(
                "the model file of the deployment file is missing",
                where=self._at("model_file_path"),
                why=f"no file {self.model_file}",
                hint="paths are relative to the YAML's folder, then to the current one; to use "
                "the YAML with a model in another place, give both: hexconv convert MODEL --config",
            )
        found = sha256_of(self.model_file)
        if found != self.sha256.lower():
            raise ConfigError(
                "the model file is not the one that the deployment file was written for",
                where=self._at("model_sha256_checksum"),
                why=f"the YAML has {self.sha256.lower()}\n       {self.model_file} has {found}",
                hint="put the new checksum into the YAML, or restore the model",
            )

    def check_ranges(self) -> None:
        """Check that the range file exists.

        Raises:
            FileError: it is not.
        """
        if self.range_file is not None and not is_file(self.range_file):
            raise FileError(
                "the range file of the deployment file is missing",
                where=f"{self.path}, line {self.file.line((*self.place(), 'quantize_range_file'))}",
                why=f"no file {self.range_file}",
                hint="write it with `python -m hexconv calibrate`, or give --samples",
            )

    def check_samples(self) -> None:
        """Check that the validation data can be calibrated on, where it is all that there is.

        Raises:
            FileError: it cannot.
        """
        if self.unusable_samples:
            line = self.file.line((*self.place(), "validation_inputs_data"))
            raise FileError(
                "the deployment file's data cannot be calibrated on",
                where=f"{self.path}, line {line}",
                why=self.unusable_samples,
                hint="name raw float32 files (.bin), one for each input, or give --samples",
            )

    def check_model(self, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> None:
        """Check tensor names and shapes against the ONNX model's.

        Args:
            inputs: declared sizes of the model's inputs; a size that is not fixed is below 1.
            outputs: names.

        Raises:
            ConfigError: with each mistake and its line.
        """
        found = name_mistakes(self.inputs, list(inputs), "input")
        found += name_mistakes(self.outputs, outputs, "output")
        fitted = [item.of_model(inputs.get(item.name, item.shape)) for item in self.inputs]
        for index, item in enumerate(fitted):
            if item.name in inputs:
                found += input_mistakes(item, inputs[item.name], index)
        found += format_mistakes(fitted, "input")
        self._raise_mistakes(found)

    def check_outputs(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Check the output shapes against those of the conversion.

        Raises:
            ConfigError: a shape or a format contradicts.
        """
        real = [shapes.get(item.name, item.shape) for item in self.outputs]
        fitted = [item.of_model(r) for item, r in zip(self.outputs, real, strict=True)]
        found = [
            m
            for index, pair in enumerate(zip(fitted, real, strict=True))
            for m in output_mistakes(*pair, index)
        ]
        self._raise_mistakes([*found, *format_mistakes(fitted, "output")])

    def of_model(self, inputs: Mapping[str, Sequence[int]]) -> Deployment:
        """The same, with the inputs' shapes in the ranks of the model's."""
        fitted = tuple(item.of_model(inputs.get(item.name)) for item in self.inputs)
        return replace(self, inputs=fitted)

    def find(self, name: str) -> Path:
        """A file that the YAML names: in the YAML's folder, else in the current one."""
        return _find(self.home, name)

    def _raise_mistakes(self, found: Sequence[Mistake]) -> None:
        base = self.place()
        raise_mistakes(
            self.path, self.file, (Mistake((*base, *m.place), m.what, m.hint) for m in found)
        )

    def place(self) -> Place:
        """The position of the one subgraph."""
        subgraphs = self.document["models"][self.name]["subgraphs"]
        return (
            "models",
            self.name,
            "subgraphs",
            0 if isinstance(subgraphs, list) else next(iter(subgraphs)),
        )

    def _at(self, key: str) -> str:
        return f"{self.path}, line {self.file.line(('models', self.name, key))}"


def read_deployment(
    path: Path, model: Path | None = None, beside: bool = True, name: str = ""
) -> Deployment:
    """Read and check a deployment YAML.

    Args:
        path: of the YAML.
        model: an ONNX file to use instead of the one that the YAML names; its checksum then
            replaces the YAML's.
        beside: look for files in the YAML's folder first; a preset's are in the current one.
        name: of the model to convert, if the YAML has several.

    Raises:
        FileError: the YAML cannot be read.
        ConfigError: every mistake in it with its line, or what hexconv does not support.
    """
    file = read_yaml(path, WHAT)
    raise_mistakes(path, file, mistakes(file))
    if name in file.data["models"]:
        file.data["models"] = {name: file.data["models"][name]}
    raise_mistakes(path, file, unsupported(file.data))
    ((name, entry),) = file.data["models"].items()
    graphs = entry["subgraphs"]
    graph = graphs[0] if isinstance(graphs, list) else next(iter(graphs.values()))
    merged = {**entry, **graph}
    inputs = _tensors(merged, "input")
    home = path.parent if beside else Path()
    source = model if model is not None else _find(home, merged["model_file_path"])
    sum_ = entry["model_sha256_checksum"]
    ranges = merged.get("quantize_range_file")
    remote = _remote(merged)
    samples, warnings = ({}, [_unused(remote[0])]) if remote else _samples(home, merged, inputs)
    return Deployment(
        path=path,
        document=file.data,
        name=name,
        inputs=inputs,
        outputs=_tensors(merged, "output"),
        model_file=source,
        sha256=sha256_of(source) if model is not None else sum_,
        range_file=_find(home, ranges) if ranges else None,
        samples=samples,
        remote_samples=tuple(remote),
        unusable_samples=warnings[0] if warnings and not (samples or remote) else "",
        warnings=(*warnings, *idle_keys({**file.data, **merged})),
        file=file,
        home=home,
    )


def model_names(path: Path) -> list[str]:
    """The models of a deployment YAML.

    Raises:
        FileError, ConfigError: as `read_deployment`.
    """
    file = read_yaml(path, WHAT)
    raise_mistakes(path, file, mistakes(file))
    return list(file.data["models"])


def preset(name: str) -> Path:
    """The path of a preset of `yml/`, by its name, with or without `_dsp`.

    Raises:
        ConfigError: there is no such preset, with the nearest.
    """
    known = presets()
    wanted = name.removesuffix(".yml")
    for full in (wanted, f"{wanted}_dsp"):
        if full in known:
            return known[full]
    hint = did_you_mean(wanted, known)
    raise ConfigError(f"there is no preset '{name}'", hint=f"{hint}there are {', '.join(known)}")


def presets() -> dict[str, Path]:
    """The presets of `yml/` by name."""
    return {path.stem: path for path in sorted(resources.folder("yml").glob("*.yml"))}


def _tensors(merged: Mapping[str, Any], side: str) -> tuple[DeclaredTensor, ...]:
    names = as_list(merged[f"{side}_tensors"])
    formats = _spread(merged.get(f"{side}_data_formats"), names, "NHWC")
    ranges = _spread(merged.get(f"{side}_ranges"), names, None)
    found = []
    for name, text, form, value_range in zip(
        names, as_list(merged[f"{side}_shapes"]), formats, ranges, strict=True
    ):
        shape = tuple(int(size) for size in text.split(","))
        low_high = tuple(float(bound) for bound in value_range.split(",")) if value_range else None
        bounds = (low_high[0], low_high[1]) if low_high else None
        found.append(DeclaredTensor(str(name), shape, form, bounds))
    return tuple(found)


def _spread(value: Any, names: Sequence[str], default: Any) -> list[Any]:
    items = as_list(value) or [default]
    return items * len(names) if len(items) == 1 else items


def _find(home: Path, name: str) -> Path:
    """A path of the YAML: from its own folder if the file is there, else from the current one."""
    beside = home / name
    try:
        return beside if beside.exists() or not Path(name).exists() else Path(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"'{name}' is no path", where=str(home), why=str(error)) from None


def _remote(merged: Mapping[str, Any]) -> list[str]:
    """`validation_inputs_data`, if all of it consists of URLs."""
    files = as_list(merged.get("validation_inputs_data"))
    remote = [file for file in files if file.startswith(("http://", "https://"))]
    return remote if len(remote) == len(files) else []


def _unused(file: str) -> str:
    return f"validation_inputs_data {file} is not a local file: not used"


def _samples(
    home: Path, merged: Mapping[str, Any], inputs: Sequence[DeclaredTensor]
) -> tuple[dict[str, Path], list[str]]:
    """Local `validation_inputs_data` where all of it exists; else a warning."""
    files = as_list(merged.get("validation_inputs_data"))
    if not files:
        return {}, []
    found = {item.name: _find(home, file) for item, file in zip(inputs, files, strict=True)}
    missing = [str(file) for file in found.values() if not is_file(file)]
    if missing:
        return {}, [_unused(missing[0])]
    odd = [file for file in found.values() if file.suffix not in SAMPLE_SUFFIXES]
    if odd:
        return {}, [f"validation_inputs_data {odd[0]} is not used: name raw float32 files .bin"]
    return found, [
        f"validation_inputs_data {file} is a NumPy file: MACE's tools would read its header as "
        "data. convert --save-inputs writes raw files"
        for file in found.values()
        if file.suffix in (".npy", ".npz")
    ]
