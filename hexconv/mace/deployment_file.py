"""Read a user's deployment YAML: what it asks of a conversion, checked against itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hexconv import resources
from hexconv.errors import ConfigError, FileError
from hexconv.files import sha256_of
from hexconv.mace.deployment_rules import Mistake, as_list, mistakes, refuse
from hexconv.mace.yaml_lines import Lines, Place, read_yaml
from hexconv.names import did_you_mean, listed

WHAT = "deployment file"


@dataclass(frozen=True)
class DeclaredTensor:
    """One input or output as the YAML has it.

    `shape` is the ONNX model's: a 4-D shape in NHWC is turned to NCHW. `format` is MACE's word
    ("NHWC" where the file is silent); `range` is None where the file is silent.
    """

    name: str
    shape: tuple[int, ...]
    format: str = "NHWC"
    range: tuple[float, float] | None = None


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
        warnings: keys that do not concern the DSP.
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
    warnings: tuple[str, ...] = ()
    lines: Lines = field(default_factory=Lines, repr=False)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the inputs by name."""
        return {item.name: item.shape for item in self.inputs}

    @property
    def input_ranges(self) -> dict[str, tuple[float, float]]:
        """Declared ranges by input, where the file gives them."""
        return {item.name: item.range for item in self.inputs if item.range is not None}

    def check_file(self) -> None:
        """Hold the model file to the YAML's checksum.

        Raises:
            FileError: there is no such file.
            ConfigError: it is another one, with both sums.
        """
        if not self.model_file.is_file():
            raise FileError(
                "the model file of the deployment file is missing",
                where=self._at("model_file_path"),
                why=f"no file {self.model_file}",
                hint="paths are relative to the YAML's folder, then to the current one; to use "
                "the YAML with a model of another place, give both: hexconv convert MODEL --config",
            )
        found = sha256_of(self.model_file)
        if found != self.sha256.lower():
            raise ConfigError(
                "the model file is not the one that the deployment file was written for",
                where=self._at("model_sha256_checksum"),
                why=f"the YAML has {self.sha256.lower()}\n       {self.model_file} has {found}",
                hint="put the new checksum into the YAML, or bring the model back",
            )

    def check_ranges(self) -> None:
        """Hold the range file to be there.

        Raises:
            FileError: it is not.
        """
        if self.range_file is not None and not self.range_file.is_file():
            raise FileError(
                "the range file of the deployment file is missing",
                where=f"{self.path}, line {self.lines.of((*self.place(), 'quantize_range_file'))}",
                why=f"no file {self.range_file}",
                hint="write it with `python -m hexconv calibrate`, or give --samples",
            )

    def check_model(self, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> None:
        """Hold tensor names and shapes to those of the ONNX model.

        Args:
            inputs: declared sizes of the model's inputs; a size that is not fixed is below 1.
            outputs: names.

        Raises:
            ConfigError: naming each mistake with its line.
        """
        found = _names(self.inputs, list(inputs), "input")
        found += _names(self.outputs, outputs, "output")
        for index, item in enumerate(self.inputs):
            declared = inputs.get(item.name)
            if declared is not None:
                found += _shape(item, declared, index)
        base = self.place()
        refuse(self.path, self.lines, (Mistake((*base, *m.place), m.what, m.hint) for m in found))

    def check_outputs(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Hold the output shapes to those that the conversion found.

        Raises:
            ConfigError: a shape contradicts.
        """
        found = []
        for index, item in enumerate(self.outputs):
            real = shapes.get(item.name, item.shape)
            if real != item.shape:
                place = (*self.place(), "output_shapes", index)
                text = commas(in_format(real, item.format))
                found.append(
                    Mistake(place, f"the output '{item.name}' has another shape", f"write {text}")
                )
        refuse(self.path, self.lines, found)

    def place(self) -> Place:
        """Where the one subgraph stands."""
        subgraphs = self.document["models"][self.name]["subgraphs"]
        return (
            "models",
            self.name,
            "subgraphs",
            0 if isinstance(subgraphs, list) else next(iter(subgraphs)),
        )

    def _at(self, key: str) -> str:
        return f"{self.path}, line {self.lines.of(('models', self.name, key))}"


def read_deployment(path: Path, model: Path | None = None, beside: bool = True) -> Deployment:
    """Read and check a deployment YAML.

    Args:
        path: of the YAML.
        model: an ONNX file to take instead of the one that the YAML names; its checksum then
            replaces the YAML's.
        beside: look for files in the YAML's folder first; a preset's are in the current one.

    Raises:
        FileError: the YAML cannot be read.
        ConfigError: every mistake in it with its line, or what hexconv does not do.
    """
    lines = read_yaml(path, WHAT)
    refuse(path, lines, mistakes(lines))
    refuse(path, lines, _unsupported(lines.data))
    ((name, entry),) = lines.data["models"].items()
    graphs = entry["subgraphs"]
    graph = graphs[0] if isinstance(graphs, list) else next(iter(graphs.values()))
    merged = {**entry, **graph}
    inputs = _tensors(merged, "input")
    home = path.parent if beside else Path()
    file = model if model is not None else _find(home, merged["model_file_path"])
    sum_ = entry["model_sha256_checksum"]
    ranges = merged.get("quantize_range_file")
    samples, warnings = _samples(home, merged, inputs)
    return Deployment(
        path=path,
        document=lines.data,
        name=name,
        inputs=inputs,
        outputs=_tensors(merged, "output"),
        model_file=file,
        sha256=sha256_of(file) if model is not None else sum_,
        range_file=_find(home, ranges) if ranges else None,
        samples=samples,
        warnings=(*warnings, *_idle(merged)),
        lines=lines,
    )


def preset(name: str) -> Path:
    """The path of a preset of `yml/`, by its name.

    Raises:
        ConfigError: there is no such preset, with the nearest.
    """
    presets = {path.stem: path for path in sorted(resources.folder("yml").glob("*.yml"))}
    wanted = name.removesuffix(".yml")
    if wanted in presets:
        return presets[wanted]
    hint = did_you_mean(wanted, presets)
    raise ConfigError(f"there is no preset '{name}'", hint=f"{hint}there are {', '.join(presets)}")


def commas(values: Sequence[float]) -> str:
    """`1,144,40`: a YAML list of numbers crashes MACE."""
    return ",".join(str(value) for value in values)


def in_format(shape: tuple[int, ...], form: str) -> tuple[int, ...]:
    """A shape of the ONNX model as the YAML has it: 4-D NHWC is turned around."""
    if form == "NHWC" and len(shape) == 4:
        return (shape[0], shape[2], shape[3], shape[1])
    return shape


def _unsupported(data: Mapping[str, Any]) -> list[Mistake]:
    """What is right for MACE, and what hexconv does not do."""
    models = data["models"]
    if len(models) > 1:
        return [
            Mistake(
                ("models",),
                f"the file holds {len(models)} models: {', '.join(models)}",
                "hexconv converts one at a time: split the file",
            )
        ]
    ((name, entry),) = models.items()
    above: Place = ("models", name)
    graphs = entry["subgraphs"]
    if len(graphs) > 1:
        return [
            Mistake(
                (*above, "subgraphs"),
                f"there are {len(graphs)} subgraphs",
                "hexconv converts models that run on the DSP whole: keep one",
            )
        ]
    key = 0 if isinstance(graphs, list) else next(iter(graphs))
    found = []
    merged = {**entry, **graphs[key]}
    for word, wanted, hint in _WANTED:
        value = merged.get(word, wanted)
        if value != wanted:
            place = (*above, "subgraphs", key, word) if word in graphs[key] else (*above, word)
            found.append(Mistake(place, f"hexconv does not do {word}: {value}", hint))
    for side in ("input", "output"):
        inner = (*above, "subgraphs", key)
        types = as_list(merged.get(f"{side}_data_types"))
        if any(kind != "float32" for kind in types):
            found.append(
                Mistake(
                    (*inner, f"{side}_data_types"),
                    "MACE's DSP runtime takes and gives float32",
                    "write float32, or leave it out",
                )
            )
        aliases = as_list(merged.get(f"{side}_aliases"))
        if aliases and aliases != as_list(merged[f"{side}_tensors"]):
            found.append(
                Mistake(
                    (*inner, f"{side}_aliases"),
                    "hexconv does not rename tensors",
                    "leave the aliases out",
                )
            )
    return found


_WANTED = (
    ("platform", "onnx", "hexconv reads ONNX: export the model, and write platform: onnx"),
    ("runtime", "dsp", "hexconv makes models for the DSP: write runtime: dsp"),
    ("obfuscate", 0, "names are kept, for comparisons layer by layer: write obfuscate: 0"),
    ("quantize_large_weights", 0, "all weights are quantized: write 0"),
    ("quantize_stat", 0, "use hexconv calibrate instead"),
)


def _tensors(merged: Mapping[str, Any], side: str) -> tuple[DeclaredTensor, ...]:
    names = as_list(merged[f"{side}_tensors"])
    formats = _spread(merged.get(f"{side}_data_formats"), names, "NHWC")
    ranges = _spread(merged.get(f"{side}_ranges"), names, None)
    found = []
    for name, text, form, value_range in zip(
        names, as_list(merged[f"{side}_shapes"]), formats, ranges, strict=True
    ):
        shape = tuple(int(size) for size in text.split(","))
        if form == "NHWC" and len(shape) == 4:
            shape = (shape[0], shape[3], shape[1], shape[2])
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


def _samples(
    home: Path, merged: Mapping[str, Any], inputs: Sequence[DeclaredTensor]
) -> tuple[dict[str, Path], list[str]]:
    """`validation_inputs_data` where all of it is there; else a warning."""
    files = as_list(merged.get("validation_inputs_data"))
    if not files:
        return {}, []
    remote = [file for file in files if file.startswith(("http://", "https://"))]
    found = (
        {}
        if remote
        else {item.name: _find(home, file) for item, file in zip(inputs, files, strict=True)}
    )
    missing = remote or [str(file) for file in found.values() if not file.is_file()]
    if missing:
        return {}, [f"validation_inputs_data {missing[0]} is not a local file: not used"]
    return found, []


def _idle(merged: Mapping[str, Any]) -> list[str]:
    """Keys with a wish that means nothing on the DSP."""
    return [
        f"{key}: {merged[key]} means nothing on the DSP"
        for key in (
            "winograd",
            "weight_file_path",
            "limit_opencl_kernel_time",
            "opencl_queue_window_size",
        )
        if merged.get(key)
    ]


def _names(tensors: Sequence[DeclaredTensor], known: Sequence[str], side: str) -> list[Mistake]:
    found = []
    for index, item in enumerate(tensors):
        if item.name in known:
            continue
        hint = f"{did_you_mean(item.name, known)}its {side}s are {listed(known)}"
        found.append(
            Mistake((f"{side}_tensors", index), f"the model has no {side} '{item.name}'", hint)
        )
    have = {item.name for item in tensors}
    left = [name for name in known if name not in have]
    if left and not found:
        hint = (
            "name all of them" if side == "input" else "name all of them, or cut the model before"
        )
        found.append(
            Mistake((f"{side}_tensors",), f"the model's {side} '{left[0]}' is not named", hint)
        )
    return found


def _shape(item: DeclaredTensor, declared: Sequence[int], index: int) -> list[Mistake]:
    """The shape asked for against the model's own."""
    fits = len(declared) == len(item.shape) and all(
        size < 1 or size == wanted for size, wanted in zip(declared, item.shape, strict=True)
    )
    if fits:
        return []
    own = commas(tuple(size if size > 0 else "?" for size in declared))  # type: ignore[misc]
    raw = in_format(item.shape, item.format)
    hint = f"the model declares {own}"
    if raw != item.shape and len(declared) == 4:
        if all(size < 1 or size == wanted for size, wanted in zip(declared, raw, strict=True)):
            hint = "this is the model's NCHW shape: write input_data_formats: NCHW"
        else:
            hint += " (NCHW; the file's shape is NHWC, for input_data_formats says so)"
    place = ("input_shapes", index)
    return [Mistake(place, f"the shape {commas(raw)} of '{item.name}' contradicts the model", hint)]
