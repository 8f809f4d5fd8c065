"""`hexconv mace convert` leaves what MACE's convert.py leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import yaml
from google.protobuf import text_format

from hexconv.errors import ConfigError, FileError, UnsupportedOpErrors
from hexconv.mace.proto import MultiNetDef
from tests.cli.converting import tiny
from tests.mace_workflow.conftest import Run, entry, write_yaml


def test_files_are_where_run_model_looks_for_them(run: Run, root: Path) -> None:
    result = run("convert", "--config", "tiny.yml", "--output", "build")
    folder = root / "build" / "tiny" / "model"
    assert "run_model.py --config build/tiny/model/tiny.yml --output build" in result.output
    assert {"tiny.pb", "tiny.data", "tiny.pb_txt"} <= {path.name for path in folder.iterdir()}
    binary = MultiNetDef.FromString((folder / "tiny.pb").read_bytes())
    assert text_format.Parse((folder / "tiny.pb_txt").read_text(), MultiNetDef()) == binary


def test_the_output_folder_is_build_unless_given(run: Run, root: Path) -> None:
    run("convert", "--config", "tiny.yml", "-q")
    assert (root / "build/tiny/model/tiny.pb").is_file()


def test_every_model_of_the_yaml_is_converted(run: Run, root: Path) -> None:
    write_yaml("two.yml", a=entry("tiny.onnx"), b=entry("tiny.onnx"))
    said = json.loads(run("convert", "--config", "two.yml", "--json").stdout)
    assert [row["name"] for row in said["models"]] == ["a", "b"]
    for row in said["models"]:
        assert list(yaml.safe_load(Path(row["config"]).read_text())["models"]) == [row["name"]]
        assert all(Path(file).is_file() for file in row["files"])


def test_an_error_in_one_of_several_models_is_in_its_line(run: Run, root: Path) -> None:
    write_yaml("two.yml", a=entry("tiny.onnx"), b=entry("tiny.onnx", runtime="gpu", quantize=0))
    error = run("convert", "--config", "two.yml").exception
    line = Path("two.yml").read_text().splitlines().index("    runtime: gpu") + 1
    assert isinstance(error, ConfigError) and f"line {line}" in str(error)


def test_an_unsupported_model_leaves_no_files(run: Run, root: Path) -> None:
    nodes = [onnx.helper.make_node("Bernoulli", ["speech"], ["fa_out"])]
    onnx.save(tiny(opset=15, nodes=nodes, out=[1, 8, 16]), "tiny.onnx")
    write_yaml("tiny.yml", tiny=entry("tiny.onnx", output_shapes="1,8,16"))
    result = run("convert", "--config", "tiny.yml")
    assert isinstance(result.exception, UnsupportedOpErrors)
    assert not list((root / "build").rglob("*.*"))


def test_a_file_of_samples_that_is_not_there_is_an_error_in_its_line(run: Run, root: Path) -> None:
    Path("speech.bin").unlink()
    error = run("convert", "--config", "tiny.yml").exception
    line = 1 + next(
        number
        for number, text in enumerate(Path("tiny.yml").read_text().splitlines())
        if "validation_inputs_data" in text
    )
    assert isinstance(error, FileError) and f"line {line}" in error.where
    np.save("other.npy", np.ones((1, 8, 16), np.float32))
    assert run("convert", "--config", "tiny.yml", "--samples", "other.npy").exception is None


def test_micro_and_shapes_are_wrong_usage(run: Run, root: Path) -> None:
    micro = run("convert", "--config", "tiny.yml", "--enable_micro")
    assert (micro.exit_code, "microcontrollers" in micro.output) == (2, True)
    shape = run("convert", "--config", "tiny.yml", "--shape", "speech=1,8,16")
    assert (shape.exit_code, "input_shapes" in shape.output) == (2, True)
