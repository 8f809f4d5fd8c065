"""Mistakes in a deployment YAML: each with its line and a correction.

MACE's own tools check almost nothing: they ignore unknown keys, and crash on a shape that is a
list (tools/python/utils/config_parser.py).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hexconv import resources
from hexconv.errors import ConfigError
from hexconv.mace.yaml_file import Place, YamlFile
from hexconv.model_names import fault
from hexconv.names import did_you_mean, nearest

SHAPE_KEYS = {
    "input_shapes": "1,144,40",
    "output_shapes": "1,144,287",
    "check_shapes": "1,144,40",
    "input_ranges": "-1.0,1.0",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake in the file, at `place`; `hint` is the correction.

    `line` is given where the place's own would mislead.
    """

    place: Place
    what: str
    hint: str = ""
    line: int = 0


def raise_mistakes(path: Path, file: YamlFile, mistakes: Iterable[Mistake]) -> None:
    """Raise if there are mistakes, all in one error.

    Raises:
        ConfigError: with each mistake and its line.
    """
    found = sorted(mistakes, key=lambda mistake: _line(file, mistake))
    if not found:
        return
    if len(found) == 1:
        only = found[0]
        line = _line(file, only)
        raise ConfigError(only.what, where=f"{path}, line {line}{_in(only.place)}", hint=only.hint)
    raise ConfigError(
        f"{len(found)} mistakes in the deployment file",
        where=str(path),
        why="\n    ".join(_listed(file, mistake) for mistake in found),
    )


def _listed(file: YamlFile, mistake: Mistake) -> str:
    """A mistake among several: parts that are messages, with marks between them."""
    count, within = _line(file, mistake), _in(mistake.place)
    text = "; ".join(filter(None, (mistake.what, mistake.hint)))
    return f"line {count}{within}" + ": " + text


def _line(file: YamlFile, mistake: Mistake) -> int:
    return mistake.line or file.line(mistake.place)


def mistakes(file: YamlFile) -> list[Mistake]:
    """Every mistake that the file shows by itself, without the model."""
    if not isinstance(file.data, dict):
        return [
            Mistake(
                (),
                "this is not a deployment file: it has no keys",
                "start from a preset: hexconv/yml/conformer_dsp.yml",
            )
        ]
    found = [
        Mistake((key,), f"the key '{key}' occurs twice", "keep one", line)
        for key, line in file.twice
    ]
    found += _schema_mistakes(file)
    if not found:
        found += _combinations(file.data)
    return found


@functools.cache
def _schema() -> Any:
    return json.loads((resources.folder("yml") / "schema.json").read_text(encoding="utf-8"))


def _schema_mistakes(file: YamlFile) -> Iterator[Mistake]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(_schema()).iter_errors(file.data):
        yield from _told(error, tuple(error.absolute_path))


def _told(error: Any, place: Place) -> Iterator[Mistake]:
    """jsonschema's error in the words of this file."""
    value, kind = error.instance, error.validator
    if kind == "additionalProperties" and isinstance(error.validator_value, bool):
        known = list(error.schema["properties"])
        for key in value:
            if key not in known:
                yield _unknown_key(key, known, place)
    elif kind == "required":
        for key in error.validator_value:
            if key not in value and _whole(error, key):
                yield Mistake(place, f"the key '{key}' is missing", _example(key))
                return
    elif kind == "anyOf":
        yield from _best_alternative(error, place)
    elif kind == "propertyNames":
        yield Mistake(place, f"unknown name in '{_key(place)}'", "use CPU, GPU, DSP, HTA, QUANTIZE")
    elif kind == "enum" and value is not None:
        yield Mistake(place, *_not_allowed(value, error.validator_value))
    elif kind == "pattern":
        yield Mistake(place, *_malformed(_key(place), value))
    else:
        yield Mistake(place, *_mistyped(_key(place), value, error))


def _whole(error: Any, key: str) -> bool:
    """Whether this error is the one for `key`: jsonschema gives one error for each."""
    return bool(error.message.startswith(f"'{key}'"))


def _unknown_key(key: str, known: list[str], place: Place) -> Mistake:
    near = nearest(key, known)
    elsewhere = [level for level, keys in _levels().items() if key in keys]
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif elsewhere:
        hint = f"it belongs {elsewhere[0]}"
    else:
        hint = "MACE would ignore it silently: remove it"
    return Mistake((*place, key), f"unknown key '{key}'", hint)


@functools.cache
def _levels() -> dict[str, frozenset[str]]:
    schema = _schema()
    defs = schema["$defs"]
    return {
        "at the top of the file": frozenset(schema["properties"]),
        "under the model's name": frozenset(defs["model"]["properties"]),
        "into `subgraphs`": frozenset(defs["subgraph"]["properties"]),
    }


def _best_alternative(error: Any, place: Place) -> Iterator[Mistake]:
    """A key that takes one item or a list: check its value as the one or as the list."""
    value = error.instance
    groups: dict[int, list[Any]] = {}
    for inner in error.context:
        groups.setdefault(inner.schema_path[0], []).append(inner)
    listed = isinstance(value, list)
    fitting = [
        group
        for group in groups.values()
        if not any(not e.path and e.validator == "type" for e in group)
    ]
    if listed and len(value) > 1 and _key(place) in SHAPE_KEYS and _numbers(value):
        yield Mistake(place, *_malformed(_key(place), value))
        return
    for inner in (fitting or list(groups.values()))[-1 if listed else 0]:
        yield from _told(inner, (*place, *inner.path))


def _numbers(values: list[Any]) -> bool:
    return any(isinstance(value, (int, float)) for value in values)


def _malformed(key: str, value: Any) -> tuple[str, str]:
    example = SHAPE_KEYS.get(key)
    shown = json.dumps(value, ensure_ascii=False, default=str)
    if example and isinstance(value, list):
        flat = ",".join(str(item) for item in value)
        return (
            f"'{key}' is a YAML list of numbers {shown}: MACE crashes on it",
            f"write a string of commas: {key}: {flat or example}",
        )
    if example and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"'{key}' is a number: MACE crashes on it", f'write a string: {key}: "{value}"'
    if example:
        return f"{shown} does not fit '{key}'", f"write numbers with commas: {example}"
    if key.endswith("sha256_checksum"):
        if isinstance(value, (int, float)):
            return f"'{key}' is a number to YAML", "put it in quotes"
        return f"{shown} is no SHA-256: 64 hexadecimal digits", "sha256sum model.onnx prints it"
    return f"{shown} does not fit '{key}'", ""


def _mistyped(key: str, value: Any, error: Any) -> tuple[str, str]:
    if key in SHAPE_KEYS or key.endswith("sha256_checksum"):
        return _malformed(key, value)
    wanted = error.validator_value if error.validator == "type" else error.message
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if error.validator in ("minLength", "minItems", "minProperties") or value is None:
        return f"'{key}' is empty", _example(key)
    if error.validator == "type":
        names = {
            "object": "keys and values",
            "array": "a list",
            "integer": "an integer",
            "string": "a string",
            "number": "a number",
        }
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return f"'{key}' is {shown}", f"write {' or '.join(names.get(k, k) for k in kinds)}"
    return f"'{key}' is {shown}: {wanted}", ""


def _not_allowed(value: Any, allowed: list[Any]) -> tuple[str, str]:
    texts = [str(item) for item in allowed]
    shown = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str):
        for other, case in ((value.lower(), "lower"), (value.upper(), "upper")):
            if other in texts:
                return f"{shown} is not in {case} case", f"write {other}"
    hint = did_you_mean(str(value), texts)
    return f"{shown} is not allowed here", f"{hint}use {', '.join(texts)}"


def _combinations(data: dict[str, Any]) -> Iterator[Mistake]:
    """Keys that are valid alone and invalid together."""
    if data.get("model_graph_format") == "file" and data.get("model_data_format") == "code":
        yield Mistake(
            ("model_data_format",),
            "a graph in a file cannot have its data in code",
            "write model_data_format: file",
        )
    for name, model in data["models"].items():
        place = ("models", name)
        hint = fault(name)
        if hint is not None:
            yield Mistake(place, f"'{name}' cannot name a model: MACE makes a C++ name of it", hint)
        if bool(model.get("weight_file_path")) != bool(model.get("weight_sha256_checksum")):
            yield Mistake(place, "weight_file_path and weight_sha256_checksum belong together")
        subgraphs = model["subgraphs"]
        pairs = subgraphs.items() if isinstance(subgraphs, dict) else enumerate(subgraphs)
        for key, subgraph in pairs:
            yield from _subgraph(model, subgraph, (*place, "subgraphs", key), place)


def _subgraph(
    model: dict[str, Any], subgraph: dict[str, Any], place: Place, above: Place
) -> Iterator[Mistake]:
    merged = {**model, **subgraph}
    if "runtime" not in merged:
        yield Mistake(above, "the key 'runtime' is missing", "write runtime: dsp")
    elif merged["runtime"] == "dsp":
        at = place if "runtime" in subgraph else above
        if merged.get("quantize", 0) != 1:
            at_key = (*(place if "quantize" in subgraph else above), "quantize")
            yield Mistake(at_key, "the DSP runs quantized models only", "write quantize: 1")
        if merged.get("data_type", "uint8") != "uint8":
            yield Mistake((*at, "data_type"), "on the DSP data_type is uint8", "leave it out")
    if merged.get("quantize") and merged.get("quantize_large_weights"):
        yield Mistake(above, "quantize and quantize_large_weights exclude each other")
    for side in ("input", "output", "check"):
        yield from _counts(subgraph, side, place)
    for text in as_list(subgraph.get("input_ranges")):
        low, high = map(float, str(text).split(","))
        if low > high:
            what = f"the range {text} has its minimum above its maximum"
            yield Mistake((*place, "input_ranges"), what, f"write {high:g},{low:g}")


def _counts(subgraph: dict[str, Any], side: str, place: Place) -> Iterator[Mistake]:
    """As many shapes, ranges and formats as there are tensors; one format may apply to all."""
    names = as_list(subgraph.get(f"{side}_tensors"))
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        yield Mistake((*place, f"{side}_tensors"), f"'{repeated[0]}' occurs twice")
    for suffix in ("shapes", "ranges", "data_types", "data_formats", "aliases"):
        key = f"{side}_{suffix}"
        count = len(as_list(subgraph.get(key)))
        one_for_all = suffix in ("ranges", "data_types", "data_formats") and count == 1
        if key in subgraph and count != len(names) and not one_for_all:
            yield Mistake(
                (*place, key), f"{count} {key} for {len(names)} {side}_tensors", "one for each"
            )
    data = as_list(subgraph.get(f"validation_{side}s_data"))
    if data and len(data) != len(names):
        key = f"validation_{side}s_data"
        yield Mistake((*place, key), f"{len(data)} {key} for {len(names)} {side}_tensors")


def as_list(value: Any) -> list[Any]:
    """MACE's own interpretation: one item is the same as a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _key(place: Place) -> str:
    """The innermost key of a place, list positions left out."""
    names = [part for part in place if isinstance(part, str)]
    return names[-1] if names else "the file"


def _in(place: Place) -> str:
    return f" ({'.'.join(map(str, place))})" if place else ""


def _example(key: str) -> str:
    examples = {
        **SHAPE_KEYS,
        "platform": "onnx",
        "model_file_path": "model.onnx",
        "runtime": "dsp",
        "input_tensors": "speech",
        "output_tensors": "fa_out",
    }
    sentences = {
        "models": "the models are under `models:`, each under its name",
        "model_sha256_checksum": "sha256sum model.onnx prints it",
    }
    return f"for instance {examples[key]}" if key in examples else sentences.get(key, "")
