"""`hexconv convert`: what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from hexconv.errors import HexconvError

from .converting import SUFFIXES, contents, models, rejected, run, tiny


def test_one_command_converts(home: Path) -> None:
    result = run("tiny.onnx", "--samples", "speech.npy")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (home / "build").iterdir()} == {f"tiny{s}" for s in SUFFIXES}
    for text in (
        "tiny",
        "speech 1x8x16",
        "fa_out 1x8x8",
        "MatMul",
        "QuantizedSoftmax_8",
        "transposes",
        "dB SQNR",
        "written",
        "build/tiny.pb",
    ):
        assert text in result.stdout
    assert "WARNING" not in result.stderr
    assert len(result.stdout.splitlines()) <= 40


def test_without_samples_the_warning_cannot_be_missed(home: Path) -> None:
    for options in ((), ("-q",), ("--json",)):
        result = run("tiny.onnx", *options)
        assert result.exit_code == 0
        assert "WARNING" in result.stderr and "NO SAMPLES" in result.stderr


def test_quiet_prints_nothing(home: Path) -> None:
    result = run("tiny.onnx", "--samples", "speech.npy", "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_files_that_are_written_count_though_the_comparison_fails(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **settings: Any) -> None:
        raise HexconvError("the float model does not run", hint="change it")

    monkeypatch.setattr("hexconv.cli.convert._accuracy", fails)
    result = run("tiny.onnx", "--samples", "speech.npy")
    assert result.exit_code == 0
    assert "warning: the result was not compared: the float model does not run" in result.stderr
    assert all((home / "build" / f"tiny{suffix}").exists() for suffix in SUFFIXES)


def test_json_is_for_machines(home: Path) -> None:
    told = json.loads(run("tiny.onnx", "--samples", "speech.npy", "--json").stdout)
    assert told["name"] == "tiny" and told["files"]
    (output,) = told["accuracy"]["outputs"]
    assert output["name"] == "fa_out"
    assert output["calibration"]["sqnr"] > 25  # 8 bits a tensor leave about 40 dB
    assert told["conversion"]["onnx_ops"]["Softmax"] == 1
    assert json.loads(run("tiny.onnx", "--json", "--no-accuracy").stdout)["accuracy"] is None


def test_a_warning_is_an_error_with_strict(home: Path) -> None:
    result = run("tiny.onnx", "--strict")
    assert isinstance(result.exception, HexconvError) and result.exception.exit_code == 3
    assert "NO SAMPLES" in result.exception.why
    assert not (home / "build").exists()
    assert run("tiny.onnx", "--strict", "--samples", "speech.npy").exit_code == 0


def test_a_range_file_serves_instead_of_samples(home: Path) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "-o", "one")
    result = run("tiny.onnx", "--ranges", "one/tiny.ranges", "-o", "two")
    assert result.exit_code == 0 and "WARNING" not in result.stderr
    for suffix in (".pb", ".data", ".yml", ".ranges"):
        assert Path(f"one/tiny{suffix}").read_bytes() == Path(f"two/tiny{suffix}").read_bytes()


def test_the_name_names_the_files(home: Path) -> None:
    assert run("tiny.onnx", "--samples", "speech.npy", "--name", "my_asr").exit_code == 0
    assert {path.name for path in (home / "build").iterdir()} == {f"my_asr{s}" for s in SUFFIXES}
    rejected("tiny.onnx", "--name", "9x", said="cannot name a model")
    rejected("tiny.onnx", "--name", "../x", said="cannot name a model")


def test_a_yaml_alone_is_enough(home: Path) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "-o", "one")
    result = run("--config", "one/tiny.yml", "-o", "two")
    assert result.exit_code == 0, result.exception
    assert models(home / "one") == models(home / "two")
    assert run("--config", "one/tiny.yml", "-o", "one").exit_code == 0
    assert contents(home / "one") == contents(home / "two")


def test_the_users_words_are_kept_in_the_yaml(home: Path) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "-o", "one")
    document = yaml.safe_load(Path("one/tiny.yml").read_text())
    document["target_abis"] = ["armeabi-v7a"]
    entry = document["models"]["tiny"]
    entry["subgraphs"][0]["output_data_formats"] = ["NCHW"]
    entry["subgraphs"][0]["input_ranges"] = ["-2.0,2.0"]
    entry["nnlib_graph_mode"] = 1
    Path("one/my.yml").write_text(yaml.safe_dump(document))
    assert run("--config", "one/my.yml", "-o", "two").exit_code == 0
    assert yaml.safe_load(Path("two/tiny.yml").read_text()) == document


def test_a_commented_yaml_is_not_overwritten_by_another(home: Path) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "-o", "one")
    path = Path("one/tiny.yml")
    text = "# mine\n" + path.read_text().replace("- 1,1,8,16", "- 1,1, 8,16")
    path.write_text(text)
    rejected("--config", "one/tiny.yml", "-o", "one", said="overwrite the deployment file")
    assert path.read_text() == text


def test_the_first_sample_is_saved_as_mace_reads_it(home: Path) -> None:
    assert run("tiny.onnx", "--samples", "speech.npy", "--save-inputs").exit_code == 0
    raw = np.fromfile("build/tiny_speech", "<f4")
    assert np.array_equal(raw, np.load("speech.npy")[0].reshape(-1))
    graph = yaml.safe_load(Path("build/tiny.yml").read_text())["models"]["tiny"]["subgraphs"][0]
    assert graph["validation_inputs_data"] == ["tiny_speech"]
    # the YAML alone calibrates on it, and writes it again
    Path("build/tiny.ranges").unlink()
    result = run("--config", "build/tiny.yml", "-o", "two", "--save-inputs")
    assert result.exit_code == 0 and "NO SAMPLES" not in result.stderr
    assert Path("two/tiny_speech").read_bytes() == Path("build/tiny_speech").read_bytes()


@pytest.mark.parametrize("args", [("tiny.onnx",), ("tiny.onnx", "--preset", "conformer_dsp")])
def test_without_a_sample_there_is_none_to_save(home: Path, args: tuple[str, ...]) -> None:
    result = run(*args, "--save-inputs")
    assert isinstance(result.exception, SystemExit) and result.exit_code == 2
    assert "give --samples" in result.output


def test_files_are_laid_out_as_maces_tools_look_for_them(home: Path) -> None:
    arguments = ("tiny.onnx", "--samples", "speech.npy", "--mace-layout", "--save-inputs")
    assert run(*arguments).exit_code == 0
    folder = home / "build" / "tiny" / "model"
    names = {f"tiny{suffix}" for suffix in (*SUFFIXES, "_speech", ".pb_txt")}
    assert {path.name for path in folder.iterdir()} == names
    entry = yaml.safe_load((folder / "tiny.yml").read_text())["models"]["tiny"]
    graph = entry["subgraphs"][0]
    for path in (
        entry["model_file_path"],
        graph["quantize_range_file"],
        *graph["validation_inputs_data"],
    ):
        assert Path(path).is_absolute() and Path(path).parent == folder and Path(path).is_file()
    # and such a YAML converts from anywhere
    assert run("--config", str(folder / "tiny.yml"), "-o", "two").exit_code == 0
    run("tiny.onnx", "--samples", "speech.npy", "-o", "flat")
    assert Path("two/tiny.pb").read_bytes() == Path("flat/tiny.pb").read_bytes()


def test_files_that_the_yaml_names_are_named_from_where_the_new_one_is(home: Path) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "-o", "one")
    document = yaml.safe_load(Path("one/tiny.yml").read_text())
    graph = document["models"]["tiny"]["subgraphs"][0]
    Path("one/y.bin").write_bytes(b"")
    graph["validation_outputs_data"] = ["y.bin"]
    Path("one/my.yml").write_text(yaml.safe_dump(document))
    assert run("--config", "one/my.yml", "-o", "two/three").exit_code == 0
    written = yaml.safe_load(Path("two/three/tiny.yml").read_text())
    graph = written["models"]["tiny"]["subgraphs"][0]
    assert graph["validation_outputs_data"] == ["../../one/y.bin"]


def test_a_preset_takes_the_model_given(home: Path) -> None:
    Path("speech.npy").unlink()
    onnx.save(
        tiny(shape=[1, 144, 40], weight=np.ones((40, 8), np.float32), out=[1, 144, 8]), "mine.onnx"
    )
    assert run("mine.onnx", "--preset", "conformer_dsp", "--no-accuracy").exit_code == 0
    weight = np.eye(40, 287, dtype=np.float32)
    model = tiny(shape=[1, 144, 40], weight=weight, out=[1, 144, 287])
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(287, np.float32), "bias"))
    onnx.save(model, "mine.onnx")
    result = run("mine.onnx", "--preset", "conformer_dsp", "--no-accuracy")
    assert result.exit_code == 0, result.exception
    written = yaml.safe_load(Path("build/conformer_dsp.yml").read_text())
    entry = written["models"]["conformer_dsp"]
    assert entry["model_file_path"] == "conformer_dsp.reference.onnx"
    assert int(entry["model_sha256_checksum"], 16) != 0
    assert entry["subgraphs"][0]["input_shapes"] == ["1,1,144,40"]
    assert entry["subgraphs"][0]["output_data_formats"] == ["NONE"]
    assert "validation_inputs_data" not in entry["subgraphs"][0]  # the preset's file is not there
    rejected("mine.onnx", "--preset", "conformr", said="did you mean 'conformer_dsp'")
