"""`hexconv mace exec` runs MACE's scripts unchanged; ONNX models for the DSP go through hexconv."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hexconv
from hexconv.errors import ConfigError, FileError, HexconvError, UnsupportedOpErrors
from hexconv.mace.proto import MultiNetDef
from tests.cli.converting import process, tiny
from tests.mace_workflow.conftest import Run, entry, last_json, write_yaml

CONVERT = "tools/python/convert.py"
RUN_MODEL = "tools/python/run_model.py"
CONVERTER = "tools/converter.py"


def read(path: Path) -> Any:
    return MultiNetDef.FromString(path.read_bytes())


def two_inputs(shape: tuple[int, ...] = (1, 4, 8)) -> onnx.ModelProto:
    """a + b, and their maximum."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["total"]),
        helper.make_node("Max", ["a", "b"], ["larger"]),
    ]
    ends = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("a", "b", "total", "larger")
    }
    graph = helper.make_graph(nodes, "two", [ends["a"], ends["b"]], [ends["total"], ends["larger"]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def of_two(**changes: Any) -> dict[str, Any]:
    """The YAML's entry of a model with two inputs and two outputs."""
    onnx.save(two_inputs(), "two.onnx")
    ends = {
        "input_tensors": ["a", "b"],
        "input_shapes": ["1,4,8", "1,4,8"],
        "output_tensors": ["total", "larger"],
        "output_shapes": ["1,4,8", "1,4,8"],
    }
    made = entry("two.onnx", **{**ends, **changes})
    del made["subgraphs"][0]["validation_inputs_data"]
    return made


def test_convert_py_writes_hexconvs_model(run: Run, root: Path) -> None:
    result = run("exec", CONVERT, "--config", "tiny.yml", "--output", "theirs")
    assert result.exception is None, result.exception
    assert "MACE converts" not in result.output
    run("convert", "--config", "tiny.yml", "--output", "ours", "-q")
    theirs, ours = (root / side / "tiny/model/tiny.pb" for side in ("theirs", "ours"))
    assert theirs.with_suffix(".data").read_bytes() == ours.with_suffix(".data").read_bytes()
    assert read(theirs).net_def[0].op == read(ours).net_def[0].op
    assert read(theirs).net_def[0].tensors == read(ours).net_def[0].tensors
    assert read(theirs).net_def[0].input_info == read(ours).net_def[0].input_info
    feeds = {"speech": np.fromfile("speech.bin", "<f4").reshape(1, 8, 16)}
    models = [hexconv.load(path) for path in (theirs, ours)]
    first, second = (hexconv.simulate(model, feeds)["fa_out"] for model in models)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("change", [{"platform": "tensorflow"}, {"runtime": "cpu", "quantize": 0}])
def test_other_platforms_and_runtimes_go_through_mace(
    run: Run, root: Path, change: dict[str, Any]
) -> None:
    write_yaml("both.yml", other=entry("tiny.onnx", **change), tiny=entry("tiny.onnx"))
    result = run("exec", CONVERT, "--config", "both.yml")
    assert result.exception is None, result.exception
    assert result.output.count("MACE converts") == 1
    assert not read(root / "build/other/model/other.pb").net_def[0].op
    assert read(root / "build/tiny/model/tiny.pb").net_def[0].op


def test_options_of_the_conversion_are_in_front_of_the_script(run: Run, root: Path) -> None:
    for options, output in (((), "plain"), (("--optimize", "none"), "other")):
        result = run("exec", *options, CONVERT, "--config", "tiny.yml", "--output", output)
        assert result.exception is None, result.exception
    plain, other = (
        len(read(root / side / "tiny/model/tiny.pb").net_def[0].op) for side in ("plain", "other")
    )
    assert plain < other
    assert run("exec", "--optimise", "none", CONVERT).exit_code == 2
    assert run("exec", "--shape", "speech=1,8,16", CONVERT).exit_code == 2


def test_help_after_the_script_is_the_scripts(run: Run, root: Path) -> None:
    result = run("exec", CONVERT, "-h")
    assert (result.exit_code, "--enable_micro" in result.output) == (0, True)


def test_run_model_passes_the_four_sizes_that_the_runtime_reads(run: Run, root: Path) -> None:
    run("exec", CONVERT, "--config", "tiny.yml")
    arguments = ("--config", "tiny.yml", "--benchmark", "--vlog_level=1", "--runtime=dsp")
    said = last_json(run("exec", RUN_MODEL, *arguments))
    assert (said["input_shape"], said["input_data_format"]) == ([[1, 1, 8, 16]], ["NONE"])
    assert said["args"] == ["--benchmark", "--vlog_level=1", "--runtime=dsp"]
    assert said["model_file_path"] == "tiny.onnx"


def test_run_model_validates_against_the_reference_model(run: Run, root: Path) -> None:
    run("exec", CONVERT, "--config", "tiny.yml")
    said = last_json(run("exec", RUN_MODEL, "--config", "tiny.yml", "--validate"))
    assert said["validated"] == [[1, 8, 8]]
    assert said["model_sha256_checksum"] in said["model_file_path"]
    assert not Path(said["model_file_path"]).exists()


def test_run_model_takes_the_yaml_that_mace_convert_wrote(run: Run, root: Path) -> None:
    run("convert", "--config", "tiny.yml", "-q")
    config = "build/tiny/model/tiny.yml"
    said = last_json(run("exec", RUN_MODEL, "--config", config, "--validate"))
    assert (said["input_shape"], said["validated"]) == ([[1, 1, 8, 16]], [[1, 8, 8]])
    assert said["model_file_path"].endswith("tiny.reference.onnx")


def test_models_of_four_sizes_are_compared_with_as_they_are(run: Run, root: Path) -> None:
    onnx.save(two_inputs((1, 3, 4, 8)), "image.onnx")
    sizes = {"input_shapes": ["1,3,4,8"] * 2, "output_shapes": ["1,3,4,8"] * 2}
    formats = {"input_data_formats": "NCHW", "output_data_formats": "NCHW"}
    entry_ = {**of_two(**sizes, **formats), "model_file_path": "image.onnx"}
    entry_["model_sha256_checksum"] = entry("image.onnx")["model_sha256_checksum"]
    write_yaml("image.yml", image=entry_)
    assert run("exec", CONVERT, "--config", "image.yml").exception is None
    said = last_json(run("exec", RUN_MODEL, "--config", "image.yml", "--validate"))
    assert (said["model_file_path"], said["input_data_format"]) == ("image.onnx", ["NCHW", "NCHW"])


def test_mace_run_gets_a_type_for_each_of_several_tensors(run: Run, root: Path) -> None:
    write_yaml("two.yml", two=of_two())
    run("exec", CONVERT, "--config", "two.yml")
    said = last_json(run("exec", RUN_MODEL, "--config", "two.yml"))
    assert said["args"] == [f"--{side}_data_type=float32,float32" for side in ("input", "output")]
    own = ("--input_data_type=float32,float32", "--output_data_type=int32,float32")
    assert last_json(run("exec", RUN_MODEL, "--config=two.yml", *own))["args"] == list(own)


def test_converter_py_converts_and_runs(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root))
    assert run("exec", CONVERTER, "convert", "--config", "tiny.yml").exception is None
    assert read(root / "build/tiny/model/tiny.pb").net_def[0].op
    write_yaml("both.yml", cpu=entry("tiny.onnx", runtime="cpu"), tiny=entry("tiny.onnx"))
    said = last_json(run("exec", CONVERTER, "run", "--config", "both.yml", "--validate"))["models"]
    ours, other = (said[name]["subgraphs"]["default_graph"] for name in ("tiny", "cpu"))
    assert (ours["input_shapes"], ours["input_data_formats"]) == (["1,1,8,16"], ["NONE"])
    assert (other["input_shapes"], other["input_data_formats"]) == (["1,8,16"], ["NHWC"])
    assert said["tiny"]["model_file_path"] != said["cpu"]["model_file_path"] == "tiny.onnx"


def test_an_unsupported_model_is_listed_as_by_convert(run: Run, root: Path) -> None:
    nodes = [helper.make_node("Bernoulli", ["speech"], ["fa_out"])]
    onnx.save(tiny(opset=15, nodes=nodes, out=[1, 8, 16]), "tiny.onnx")
    write_yaml("tiny.yml", tiny=entry("tiny.onnx", output_shapes="1,8,16"))
    result = run("exec", CONVERT, "--config", "tiny.yml")
    assert isinstance(result.exception, UnsupportedOpErrors)
    assert "Bernoulli" in str(result.exception)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantize": 0}, "quantize"),
        ({"input_data_types": "int32"}, "float32"),
        ({"output_aliases": ["labels"]}, "aliases"),
        ({"quantize_schema": "mace_apu_16bit_per_tensor"}, "quantize_schema"),
        ({"model_sha256_checksum": "0" * 64}, "checksum"),
        ({"input_tensors": "sound"}, "sound"),
        ({"output_shapes": "1,8,9"}, "1,8,8"),
    ],
)
def test_what_hexconv_does_not_do_is_an_error(
    run: Run, root: Path, change: dict[str, Any], said: str
) -> None:
    write_yaml("tiny.yml", tiny=entry("tiny.onnx", **change))
    error = run("exec", CONVERT, "--config", "tiny.yml").exception
    assert isinstance(error, ConfigError) and said in str(error)
    assert "/tmp" not in error.where and "line" not in error.where


def test_samples_that_are_not_there_are_an_error(run: Run, root: Path) -> None:
    Path("speech.bin").unlink()
    error = run("exec", CONVERT, "--config", "tiny.yml").exception
    assert isinstance(error, FileError) and error.where == "the YAML" and "speech.bin" in error.why
    np.save("other.npy", np.ones((1, 8, 16), np.float32))
    given = run("exec", "--samples", "other.npy", CONVERT, "--config", "tiny.yml")
    assert given.exception is None, given.exception


def test_micro_is_an_error(run: Run, root: Path) -> None:
    error = run("exec", CONVERT, "--config", "tiny.yml", "--enable_micro").exception
    assert isinstance(error, ConfigError) and "microcontrollers" in str(error)


def test_scripts_that_are_none_of_maces(run: Run, root: Path, tmp_path: Path) -> None:
    assert isinstance(run("exec", "tools/nothing.py").exception, FileError)
    (tmp_path / "other.py").write_text("print(1)\n")
    assert isinstance(run("exec", str(tmp_path / "other.py")).exception, ConfigError)
    assert isinstance(run("exec", "tools").exception, FileError)
    assert isinstance(run("exec", "README.md").exception, ConfigError)


def test_a_package_that_the_script_needs_is_named(run: Run, root: Path) -> None:
    Path("tools/python/needs.py").write_text("import a_package_that_nobody_has\n")
    error = run("exec", "tools/python/needs.py").exception
    assert isinstance(error, ConfigError)
    text = error.render(cli=True)
    assert "'a_package_that_nobody_has'" in text and "pip install a_package_that_nobody_has" in text
    missing = {name for name in ("sh", "six", "jinja2") if find_spec(name) is None}
    assert missing <= set(text.split())


def test_a_failure_of_the_script_is_shown_as_maces(run: Run, root: Path) -> None:
    result = run("exec", RUN_MODEL, "--config", "tiny.yml")
    assert result.exit_code == 1 and not isinstance(result.exception, HexconvError)
    assert "No models exist in build/tiny/model/tiny.pb" in result.stderr
    assert "run_model.py failed by itself" in result.stderr


def test_exit_codes_of_the_script_are_kept(run: Run, root: Path) -> None:
    Path("tools/python/leaves.py").write_text('if __name__ == "__main__":\n    exit(7)\n')
    assert run("exec", "tools/python/leaves.py").exit_code == 7


def test_templates_of_generated_code_print_bytes(run: Run, root: Path) -> None:
    pytest.importorskip("jinja2")
    Path("tools/python/prints.py").write_text(
        "import jinja2\nprint(jinja2.Template('set({{ value|tojson }});').render(value=b'NCHW'))\n"
    )
    assert run("exec", "tools/python/prints.py").stdout == 'set("NCHW");\n'


def test_what_newer_packages_took_away_is_there(run: Run, root: Path) -> None:
    Path("tools/python/old.py").write_text(
        "import numpy as np\nfrom onnx import mapping\n"
        "print(mapping.TENSOR_TYPE_TO_NP_TYPE[1], np.array([1.5]).astype(np.int))\n"
    )
    for _ in range(2):
        assert run("exec", "tools/python/old.py").stdout == "float32 [1]\n"


def test_messages_that_maces_build_generated_are_used(run: Run, root: Path) -> None:
    generated = root / "tools/python/py_proto/mace_pb2.py"
    generated.write_text(
        "from hexconv.mace.proto import *\nfrom hexconv.mace.proto import CLASSES, DATA_TYPES\n"
        "globals().update(CLASSES), globals().update(DATA_TYPES)\nGENERATED = True\n"
    )
    Path("tools/python/shows.py").write_text(
        "from py_proto import mace_pb2\nprint(hasattr(mace_pb2, 'GENERATED'), mace_pb2.DT_FLOAT)\n"
    )
    assert run("exec", "tools/python/shows.py").stdout == "True 1\n"
    generated.write_text("raise TypeError('generated for another protobuf')\n")
    assert run("exec", "tools/python/shows.py").stdout == "False 1\n"


def test_the_command_runs_from_another_folder(root: Path, tmp_path: Path) -> None:
    done = process(
        "mace",
        "exec",
        str(root / CONVERT),
        f"--config={root / 'tiny.yml'}",
        f"--output={tmp_path / 'out'}",
        cwd=root,
        env={"PYTHONPATH": os.pathsep.join([str(Path(hexconv.__file__).parents[1]), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/tiny/model/tiny.data").stat().st_size > 0
    away = process("mace", "exec", str(root / CONVERT), "-h", cwd=tmp_path)
    assert f"from the current folder, not from {root.resolve()}" in away.stderr
