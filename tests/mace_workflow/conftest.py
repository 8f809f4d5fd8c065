"""A stand-in of MACE's source folder, models and YAML in it, and the commands run from there."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner, Result

from hexconv.cli import group
from tests.cli.converting import tiny

OURS = ("py_proto", "python", "sh")
"""Modules that `mace exec` makes, by their first name."""

STAND_IN = Path(__file__).parent / "stand_in"
Run = Callable[..., Result]


def entry(file: str, **changes: Any) -> dict[str, Any]:
    """A model of the YAML: tiny.onnx as its engineer writes it, with three sizes."""
    graph = {
        "input_tensors": "speech",
        "input_shapes": "1,8,16",
        "output_tensors": "fa_out",
        "output_shapes": "1,8,8",
        "validation_inputs_data": ["speech.bin"],
    }
    at_graph = {key: changes.pop(key) for key in list(changes) if key[:5] in ("input", "outpu")}
    return {
        "platform": "onnx",
        "model_file_path": file,
        "model_sha256_checksum": hashlib.sha256(Path(file).read_bytes()).hexdigest(),
        "subgraphs": [{**graph, **at_graph}],
        "runtime": "dsp",
        "quantize": 1,
        **changes,
    }


def write_yaml(path: str, **models: dict[str, Any]) -> str:
    """A deployment YAML of models by name."""
    Path(path).write_text(yaml.safe_dump({"library_name": "lib", "models": models}))
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MACE's root, which is the current folder, with tiny.onnx, speech.bin and tiny.yml in it."""
    place = tmp_path / "mace"
    shutil.copytree(STAND_IN, place)
    monkeypatch.chdir(place)
    onnx.save(tiny(), "tiny.onnx")
    np.random.default_rng(5).uniform(-1, 1, (1, 8, 16)).astype("<f4").tofile("speech.bin")
    write_yaml("tiny.yml", tiny=entry("tiny.onnx"))
    return place


@pytest.fixture
def untouched(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a script imported and packages that were bridged are as before afterwards."""
    monkeypatch.setattr(yaml, "load", yaml.load)
    monkeypatch.setattr(sys, "path", [*sys.path])
    numpy_names = set(vars(np))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if name.split(".")[0] in OURS or name == "onnx.mapping" or path.startswith(str(root)):
            del sys.modules[name]
    for name in set(vars(np)) - numpy_names:
        if name in ("bool", "int", "float", "object"):
            delattr(np, name)


@pytest.fixture
def run(root: Path, untouched: None) -> Run:
    """`hexconv mace ARGUMENTS` in MACE's root."""
    return lambda *arguments: CliRunner().invoke(group, ["mace", *arguments])


def last_json(result: Result) -> Any:
    """The last line of what a script printed."""
    assert result.exception is None, (result.exception, result.output)
    return json.loads(result.stdout.splitlines()[-1])
