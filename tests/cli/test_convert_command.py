"""`hexconv convert`: what it prints and writes, and one clear error for everything bad."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with tiny.onnx and samples in it."""
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny(), "tiny.onnx")
    rng = np.random.default_rng(5)
    np.save("speech.npy", rng.uniform(-1, 1, (6, 8, 16)).astype(np.float32))
    return tmp_path


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
    assert told["accuracy"]["fa_out"]["sqnr"] > 25  # 8 bits a tensor leave about 40 dB
    assert told["conversion"]["onnx_ops"]["Softmax"] == 1
    assert run("tiny.onnx", "--json", "--no-accuracy").stdout.count('"accuracy": {}') == 1


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
    text = rejected("mine.onnx", "--preset", "conformer_dsp", said="another shape")
    assert "write 1,144,8" in text
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


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--preset", "conformer_dsp"),
        ("tiny.onnx", "--preset", "a", "--config", "b"),
        ("tiny.onnx", "--config", "b", "--shape", "speech=1,8,16"),
        ("tiny.onnx", "--shape", "speech"),
        ("tiny.onnx", "--optimize", "more"),
        ("tiny.onnx", "--input-range", "speech=1"),
    ],
)
def test_wrong_usage_has_exit_code_2(home: Path, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def external(folder: Path) -> None:
    onnx.save(tiny(), "tiny.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (folder / "w.bin").unlink()


def node(op: str, **attributes: Any) -> Callable[[Path], None]:
    """A model of one node from speech to fa_out."""

    def make(folder: Path) -> None:
        domain = attributes.pop("domain", "")
        one = helper.make_node(op, ["speech"], ["fa_out"], name="only", domain=domain, **attributes)
        model = tiny(nodes=[one])
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))
        onnx.save(model, "tiny.onnx")

    return make


def cyclic(folder: Path) -> None:
    nodes = [
        helper.make_node("Add", ["speech", "b"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="two"),
        helper.make_node("Relu", ["b"], ["fa_out"], name="three"),
    ]
    onnx.save(tiny(nodes=nodes), "tiny.onnx")


def saved(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: onnx.save(tiny(**changes), "tiny.onnx")


def typed(kind: int) -> Callable[[Path], None]:
    """An input of a type that the DSP's runtime does not take."""
    cast = helper.make_node("Cast", ["speech"], ["fa_out"], name="only", to=TensorProto.FLOAT)
    return saved(type=kind, nodes=[cast])


def counted(home: Path) -> None:
    """An input of integers that is computed with as integers."""
    nodes = [
        helper.make_node("Neg", ["speech"], ["negative"], name="counted"),
        helper.make_node("Cast", ["negative"], ["fa_out"], name="only", to=TensorProto.FLOAT),
    ]
    saved(type=TensorProto.INT64, nodes=nodes)(home)


NAN = np.full((16, 8), np.nan, np.float32)
BAD_MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda home: (home / "tiny.onnx").unlink(), "no such ONNX file"),
    "empty": (lambda home: cut(home / "tiny.onnx", 0), "is empty"),
    "cut": (lambda home: cut(home / "tiny.onnx", 300), "cut short"),
    "text": (lambda home: (home / "tiny.onnx").write_text("hello, world"), "not an ONNX file"),
    "external data": (external, "external data"),
    "invalid": (node("Relu", alpha=3.0), "invalid"),
    "cyclic": (cyclic, "'one' -> 'two'"),
    "domain": (node("Foo", domain="my.ops"), "domain 'my.ops'"),
    "unknown op": (node("Reluu"), "did the exporter mean Relu"),
    "rank": (saved(shape=[1, 1, 1, 8, 16], out=[1, 1, 1, 8, 8]), "rank 5"),
    "int64": (counted, "int64"),
    "string": (typed(TensorProto.STRING), "string"),
    "zero size": (saved(shape=[1, 0, 16]), "is empty"),
    "dynamic": (saved(shape=[1, "frames", 16]), "--shape speech=1,100,16"),
    "nan weights": (saved(weight=NAN), "weight"),
    "inf weights": (saved(weight=NAN * 0 + np.inf), "weight"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_bad_model_is_one_clear_error(home: Path, name: str) -> None:
    make, said = BAD_MODELS[name]
    make(home)
    rejected("tiny.onnx", said=said)
    assert not (home / "build").exists()


def test_a_directory_is_no_model(home: Path) -> None:
    (home / "folder").mkdir()
    rejected("folder", said="directory")


def test_control_flow_and_other_unsupported_nodes_are_listed_together(home: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Relu", ["speech"], ["r"])],
        "inner",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, [1, 8, 16])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["speech"], ["top"], name="max", keepdims=0),
        helper.make_node("Cast", ["top"], ["yes"], name="cast", to=TensorProto.BOOL),
        helper.make_node("If", ["yes"], ["c"], name="branch", then_branch=inner, else_branch=inner),
        helper.make_node("NonZero", ["speech"], ["places"], name="where"),
        helper.make_node("Cast", ["places"], ["fa_out"], name="cast2", to=TensorProto.FLOAT),
    ]
    model = tiny(nodes=nodes)
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 8, 16]))
    onnx.save(model, "tiny.onnx")
    text = rejected("tiny.onnx", said="2 nodes cannot run")
    assert "'branch' (If)" in text and "'where' (NonZero)" in text
    report = hexconv.check("tiny.onnx")
    assert {row.node for row in report.unsupported} >= {"branch", "where", "cast2"}


BAD_SAMPLES = {
    "shape": (np.zeros((3, 8, 17), np.float32), "expected [1, 8, 16]"),
    "type": (np.zeros((1, 8, 16), np.int32), "not float"),
    "nan": (np.full((1, 8, 16), np.nan, np.float32), "NaN"),
    "inf": (np.full((1, 8, 16), np.inf, np.float32), "NaN or infinite"),
    "none": (np.zeros((0, 8, 16), np.float32), "no samples"),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_bad_samples_are_one_clear_error(home: Path, name: str) -> None:
    array, said = BAD_SAMPLES[name]
    np.save("bad.npy", array)
    rejected("tiny.onnx", "--samples", "bad.npy", said=said)
    assert not (home / "build").exists()


def test_samples_of_another_name_or_nowhere(home: Path) -> None:
    np.savez("bad.npz", speach=np.zeros((1, 8, 16), np.float32), b=np.zeros(1, np.float32))
    rejected("tiny.onnx", "--samples", "bad.npz", said="did you mean 'speech'")
    rejected("tiny.onnx", "--samples", "gone.npy", said="no such sample file")


@pytest.mark.parametrize(
    "text, said",
    [
        ("speech@@-1,1\n", "tensors have no range"),
        ("speech@@1,-1\n", "above the maximum"),
        ("speech@@nan,1\n", "not finite"),
        ("speech -1 1\n", "not of the form"),
        ("", "tensors have no range"),
    ],
)
def test_bad_range_files_are_one_clear_error(home: Path, text: str, said: str) -> None:
    Path("bad.ranges").write_text(text)
    rejected("tiny.onnx", "--ranges", "bad.ranges", said=said)
    assert not (home / "build").exists()


def test_the_real_command_has_no_traceback(home: Path) -> None:
    cut(home / "tiny.onnx", 100)
    result = process("convert", "tiny.onnx")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr
    assert process("convert").returncode == 2


def test_an_output_folder_that_cannot_be(home: Path) -> None:
    (home / "file").write_text("x")
    rejected("tiny.onnx", "-o", "file", said="it is a file")
    rejected("tiny.onnx", "-o", "file/below", said="is a file")
    assert (home / "file").read_text() == "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(home: Path) -> None:
    (home / "locked").mkdir(mode=0o500)
    rejected("tiny.onnx", "-o", "locked", said="no permission")


@pytest.mark.parametrize("suffix", [".pb", ".yml"])
def test_a_full_disk_leaves_what_was_there(
    home: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hexconv import files

    run("tiny.onnx", "--samples", "speech.npy")
    before = contents(home / "build")
    real = files._stage

    def full(path: Path, content: Any, stack: Any) -> Path:
        if path.suffix == suffix:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, content, stack)

    monkeypatch.setattr(files, "_stage", full)
    rejected("tiny.onnx", "--optimize", "none", said="No space left")
    assert contents(home / "build") == before


def test_a_failing_rename_puts_everything_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("tiny.onnx", "--samples", "speech.npy")
    before = contents(home / "build")
    real = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if Path(target).name == "tiny.yml":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    rejected("tiny.onnx", "--optimize", "none", said="cannot be written")
    assert contents(home / "build") == before


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.3, 0.8])
def test_an_interrupted_run_loses_nothing(home: Path, delay: float) -> None:
    run("tiny.onnx", "--samples", "speech.npy", "--no-accuracy")
    before = contents(home / "build")
    np.save("many.npy", np.zeros((400_000, 8, 16), np.float32))
    root = str(Path(hexconv.__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-m", "hexconv", "convert", "tiny.onnx", "--samples", "many.npy"],
        env={**os.environ, "PYTHONPATH": root},
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores it, and so would this child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    maps = Path(f"/proc/{child.pid}/maps")
    while child.poll() is None and "many.npy" not in maps.read_text():
        time.sleep(0.05)  # it has not begun yet
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130 and "Traceback" not in stderr
    assert contents(home / "build") == before
