"""A small model to convert, and commands run on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.errors import HexconvError

SUFFIXES = (".pb", ".data", ".yml", ".ranges", ".report.json", ".reference.onnx")


def tiny(opset: int = 13, **changes: Any) -> onnx.ModelProto:
    """speech 1x8x16 to fa_out 1x8x8: a Linear, ReLU, softmax."""
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((16, 8)).astype(np.float32) / 4
    bias = rng.standard_normal(8).astype(np.float32) / 4
    nodes = [
        helper.make_node("MatMul", ["speech", "weight"], ["product"], name="matmul"),
        helper.make_node("Add", ["product", "bias"], ["sum"], name="add"),
        helper.make_node("Relu", ["sum"], ["relu"], name="relu"),
        helper.make_node("Softmax", ["relu"], ["fa_out"], name="softmax", axis=-1),
    ]
    shape = changes.get("shape", [1, 8, 16])
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "tiny",
        [helper.make_tensor_value_info("speech", changes.get("type", TensorProto.FLOAT), shape)],
        [helper.make_tensor_value_info("fa_out", TensorProto.FLOAT, changes.get("out", [1, 8, 8]))],
        [
            numpy_helper.from_array(changes.get("weight", weight), "weight"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(*args: str) -> Result:
    """As the command line would; a HexconvError stays an exception of the result."""
    return CliRunner().invoke(group, ["convert", *args], env={"COLUMNS": "120"})


def rejected(*args: str, said: str = "") -> str:
    """The text of the one clear error that a command ends in."""
    result = run(*args)
    assert isinstance(result.exception, HexconvError), result.exception
    assert said in result.exception.render(cli=True)
    return str(result.exception)


def process(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The real command in its own process."""
    root = str(Path(hexconv.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "hexconv", *args],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        **options,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def models(folder: Path) -> dict[str, bytes]:
    """All but the report, which names the model file as it was given."""
    return {name: data for name, data in contents(folder).items() if ".report." not in name}
