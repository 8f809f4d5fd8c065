"""Presets: a YAML for a model of any names and shapes, in one command, comments kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from hexconv.cli import group
from hexconv.errors import HexconvError
from hexconv.mace.deployment_file import presets
from hexconv.mace.yaml_file import parse_yaml

PRESETS = list(presets())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def two_inputs(steps: int | str) -> onnx.ModelProto:
    """fbank (1, steps, 8) and state (1, 4) to logits and state_out."""
    info = helper.make_tensor_value_info
    weights = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["fbank", "w"], ["logits"]),
        helper.make_node("Relu", ["state"], ["state_out"]),
    ]
    inputs = [
        info("fbank", TensorProto.FLOAT, [1, steps, 8]),
        info("state", TensorProto.FLOAT, [1, 4]),
    ]
    outputs = [
        info("logits", TensorProto.FLOAT, [1, steps, 6]),
        info("state_out", TensorProto.FLOAT, [1, 4]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def subgraph(path: str) -> dict[str, Any]:
    """The only subgraph of a YAML."""
    (entry,) = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["models"].values()
    found: dict[str, Any] = entry["subgraphs"][0]
    return found


def test_list_names_every_preset(home: Path) -> None:
    text = run("preset", "list").output
    assert all(name in text for name in PRESETS)
    assert "声码器" in run("preset", "list", "--lang", "zh").output


@pytest.mark.parametrize("name", PRESETS)
def test_show_prints_the_file(home: Path, name: str) -> None:
    assert run("preset", "show", name).output == presets()[name].read_text(encoding="utf-8")


def test_an_unknown_preset_is_an_error_with_the_nearest(home: Path) -> None:
    error = run("preset", "show", "hifgan_dsp").exception
    assert isinstance(error, HexconvError) and "'hifigan_dsp'" in error.hint


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_a_model_of_other_names_and_shapes(home: Path, name: str) -> None:
    onnx.save(two_inputs(5), "net.onnx")
    result = run("convert", "net.onnx", "--preset", name, "--name", "net", "-o", "out")
    assert result.exit_code == 0, result.exception
    made = subgraph("out/net.yml")
    assert made["input_tensors"] == ["fbank", "state"]
    assert made["input_shapes"] == ["1,1,5,8", "1,1,1,4"]
    assert made["output_tensors"] == ["logits", "state_out"]
    assert made["output_shapes"] == ["1,5,6", "1,4"]
    text = Path("out/net.yml").read_text(encoding="utf-8")
    assert "library_name: net" in text and "# Strings with commas" in text
    assert "validation_inputs_data" not in text
    again = run("convert", "--config", "out/net.yml", "-o", "again", "--no-accuracy")
    assert again.exit_code == 0, again.exception
    assert Path("again/net.pb").read_bytes() == Path("out/net.pb").read_bytes()


def test_a_preset_reads_no_ranges_of_an_earlier_conversion(home: Path) -> None:
    onnx.save(two_inputs(5), "net.onnx")
    features = np.random.default_rng(1).normal(size=(4, 5, 8)).astype(np.float32)
    highs = []
    for loud in (1, 8):
        np.save("fbank.npy", loud * features)
        np.save("state.npy", np.ones((4, 4), np.float32))
        samples = ("--samples", "fbank=fbank.npy", "--samples", "state=state.npy")
        result = run("convert", "net.onnx", "--preset", "conformer", *samples, "-o", ".", "-q")
        assert result.exit_code == 0, result.exception
        ranges = Path("conformer_dsp.ranges").read_text(encoding="utf-8").splitlines()
        highs += [float(line.split(",")[-1]) for line in ranges if line.startswith("fbank@@")]
    assert highs[1] == pytest.approx(8 * highs[0], rel=0.05)


def test_the_yaml_of_a_preset_says_nothing_of_the_presets_own_model(home: Path) -> None:
    onnx.save(two_inputs(5), "net.onnx")
    for name, path in presets().items():
        assert run("convert", "net.onnx", "--preset", name, "-o", "out", "-q").exit_code == 0
        about = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        made = Path(f"out/{name}.yml").read_text(encoding="utf-8")
        assert [line for line in about if len(line) > 1 and line in made] == []


def test_sizes_that_are_missing_are_asked_for_by_option(home: Path) -> None:
    onnx.save(two_inputs("t"), "net.onnx")
    error = run("convert", "net.onnx", "--preset", "conformer_dsp").exception
    assert isinstance(error, HexconvError)
    assert error.hint == "pass --shape fbank=1,100,8" and "site-packages" not in str(error)
    arguments = ("net.onnx", "--preset", "conformer_dsp", "--shape", "fbank=1,7,8")
    assert run("convert", *arguments, "--no-accuracy").exit_code == 0
    assert subgraph("build/conformer_dsp.yml")["input_shapes"] == ["1,1,7,8", "1,1,1,4"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--preset", "conformer_dsp"], "MODEL.onnx"),
        (["no.onnx", "--preset", "conformer_dsp"], "no.onnx"),
        (["net.onnx", "--preset", "conformer_dsp", "--input-range", "speech=0,1"], "speech"),
        (["net.onnx", "--preset", "conformer_dsp", "--shape", "speech=1,2"], "speech"),
    ],
)
def test_no_error_points_into_the_package(home: Path, arguments: list[str], said: str) -> None:
    onnx.save(two_inputs(5), "net.onnx")
    result = run("convert", *arguments)
    text = result.output + str(result.exception)
    assert result.exit_code != 0 and said in text
    assert str(presets()["conformer_dsp"]) not in text


MINE = """\
# my model / 我的模型
library_name: "mine"   # the library
target_abis: [arm64-v8a]
models:
  # the name
  mine:
    platform: onnx
    model_file_path: net.onnx
    model_sha256_checksum: "{sum}"
    subgraphs:
      - input_tensors:
          - fbank   # features
          - state
        input_shapes:
          - 1,5,8
          - 1,4
        input_data_formats: NONE
        output_tensors: [logits, state_out]
        output_shapes: ['1,5,6', '1,4']
        output_data_formats: NONE
    runtime: dsp   # the DSP
    quantize: 1
"""


def test_the_comments_of_a_users_yaml_are_kept(home: Path) -> None:
    from hexconv.files import sha256_of

    onnx.save(two_inputs(5), "net.onnx")
    text = MINE.format(sum=sha256_of(Path("net.onnx")))
    Path("mine.yml").write_text(text, encoding="utf-8")
    assert run("convert", "--config", "mine.yml", "-o", "out", "--no-accuracy").exit_code == 0
    made = Path("out/mine.yml").read_text(encoding="utf-8")
    comments = ("# my model / 我的模型", "# the library", "# the name", "# features", "# the DSP")
    assert [comment for comment in comments if comment not in made] == []
    assert subgraph("out/mine.yml")["quantize_range_file"] == "mine.ranges"


def test_the_model_that_is_converted_of_several_keeps_its_comments(home: Path) -> None:
    from hexconv.files import sha256_of
    from hexconv.mace.deployment import dump

    onnx.save(two_inputs(5), "net.onnx")
    mine = MINE.format(sum=sha256_of(Path("net.onnx")))
    other = mine[mine.index("  mine:") :].replace("mine:", "other:")
    file = parse_yaml(mine + other)
    first = {**file.data, "models": {"mine": file.data["models"]["mine"]}}
    text = file.rewritten(first)
    assert text is not None and text != dump(first)
    assert text.count("# features") == 1 and "# the name" in text and "other" not in text


def test_what_the_form_cannot_carry_is_written_plainly() -> None:
    shared = parse_yaml("a: &x {k: 1}\nb: *x\n")
    assert shared.rewritten({"a": {"k": 2}, "b": {"k": 1}}) is None
    assert parse_yaml("a: 1 # one\nb: 2\n").rewritten({"a": 3}) == "a: 3 # one\n"
