"""`hexconv convert` on bad input: one clear error, and what was there stays."""

from __future__ import annotations

import errno
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
from onnx import TensorProto, helper

import hexconv

from .converting import contents, process, rejected, run, tiny


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
        ("tiny.onnx", "--no-accuracy", "--accuracy-samples", "4"),
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
        helper.make_node("BitwiseNot", ["speech"], ["negative"], name="counted"),
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
    inner, other = (
        helper.make_graph(
            [helper.make_node("ReduceMax", ["speech"], ["r"], axes=[axis], keepdims=0)],
            "inner",
            [],
            [helper.make_tensor_value_info("r", TensorProto.FLOAT, [1, size])],
        )
        for axis, size in ((2, 8), (1, 16))
    )
    nodes = [
        helper.make_node("ReduceMax", ["speech"], ["top"], name="max", keepdims=0),
        helper.make_node("Cast", ["top"], ["yes"], name="cast", to=TensorProto.BOOL),
        helper.make_node("If", ["yes"], ["c"], name="branch", then_branch=inner, else_branch=other),
        helper.make_node("NonZero", ["speech"], ["places"], name="where"),
        helper.make_node("Cast", ["places"], ["fa_out"], name="cast2", to=TensorProto.FLOAT),
    ]
    model = tiny(nodes=nodes)
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, "n"]))
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


@pytest.mark.parametrize("count", [2**63, 10**23])
def test_more_samples_than_a_machine_counts_are_all_of_them(count: int, tmp_path: Path) -> None:
    onnx.save(tiny(), tmp_path / "m.onnx")
    done = process("convert", "m.onnx", "-o", "o", f"--accuracy-samples={count}", cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
