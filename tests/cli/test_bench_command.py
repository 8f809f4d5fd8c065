"""`hexconv bench` and the script around it, in Python and C++."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import hexconv
from hexconv.cli.bench import command
from hexconv.cpp.platforms import SOURCE
from hexconv.errors import ConfigError, FileError, HexconvError, RangeError
from hexconv.models import voice

ROOT = Path(hexconv.__file__).parents[1]
SCRIPT = SOURCE / "Inference_Hifigan.sh"
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def call(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


@pytest.fixture
def mel(tmp_path):
    path = tmp_path / "mel.npy"
    np.save(path, next(iter(voice.mels().values()))[:, :, :16])
    return path


def test_python_alone_is_timed(mel):
    done = call("--input", mel, "-n", 1, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)["bench"]
    assert report["python"]["shape"] == [1, 1, 4096] and report["cpp"] is None


def test_a_raw_input_has_the_shape_of_the_model(mel, tmp_path):
    np.load(mel).astype("<f4").tofile(tmp_path / "mel.bin")
    (tmp_path / "short.bin").write_bytes(bytes(4 * 80 * 16 - 4))
    done = call("--input", tmp_path / "mel.bin", "-n", 1, "--json")
    assert json.loads(done.output)["bench"]["python"]["shape"] == [1, 1, 4096]
    assert isinstance(call("--input", tmp_path / "short.bin").exception, RangeError)


@needs_cmake
@pytest.mark.slow
def test_the_script_runs_python_and_cpp_and_compares(mel, tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", SCRIPT, "-l", "01", "-p", "linux", "-g", "basic", "-i", mel, "-n", "2"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in (
        "compiler optimization: -O1",
        "graph optimization: basic",
        "python cost time:",
        "c++ cost time:",
        "output tensor shape: 1x1x4096",
        "100.00%",
    ):
        assert line in done.stdout


@pytest.mark.parametrize("arguments", [["-l", "O7"], ["-p", "ios"], ["-g", "most"], ["-z"], ["x"]])
def test_the_script_rejects_wrong_usage(arguments):
    done = subprocess.run(["sh", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_android_shows_every_command_without_the_ndk(monkeypatch, mel):
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    monkeypatch.delenv("ONNXRUNTIME_ROOT", raising=False)
    done = call("--cpp", "-p", "android", "--dry-run", "--input", mel)
    assert done.exit_code == 0, done.output
    for part in (
        "$ANDROID_NDK_HOME/build/cmake",
        "adb push",
        "adb shell",
        "adb pull",
        "cmake --build",
    ):
        assert part in done.output


def test_android_without_the_ndk_is_a_clear_error(monkeypatch, mel, tmp_path):
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    done = call("--cpp", "-p", "android", "--input", mel, "-n", 1)
    assert isinstance(done.exception, ConfigError) and "NDK" in str(done.exception)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    done = call("--cpp", "-p", "android", "--input", mel, "-n", 1)
    assert "not an Android NDK" in str(done.exception)


def test_what_is_not_onnxruntime_is_a_clear_error(monkeypatch, mel, tmp_path):
    monkeypatch.delenv("ONNXRUNTIME_ROOT", raising=False)
    monkeypatch.delenv("ONNXRUNTIME_WHEEL", raising=False)
    done = call("--cpp", "-p", "aarch64", "--input", mel, "-n", 1)
    assert isinstance(done.exception, ConfigError) and "pip download" in str(done.exception)
    monkeypatch.setenv("ONNXRUNTIME_WHEEL", str(mel))
    done = call("--cpp", "-p", "aarch64", "--input", mel, "-n", 1)
    assert isinstance(done.exception, FileError)
    monkeypatch.setenv("ONNXRUNTIME_ROOT", str(tmp_path))
    done = call("--cpp", "--input", mel, "-n", 1)
    assert isinstance(done.exception, FileError) and "ONNXRUNTIME_ROOT" in str(done.exception)


def test_bad_inputs_are_errors_of_hexconv(tmp_path):
    np.save(tmp_path / "nan.npy", np.full((1, 80, 9), np.nan, np.float32))
    np.save(tmp_path / "flat.npy", np.zeros((1, 7, 9), np.float32))
    (tmp_path / "junk.npy").write_bytes(b"junk")
    assert isinstance(call("--input", tmp_path / "nan.npy").exception, RangeError)
    assert isinstance(call("--input", tmp_path / "flat.npy").exception, FileError)
    assert isinstance(call("--input", tmp_path / "junk.npy").exception, FileError)
    assert isinstance(call("--model", tmp_path / "none.onnx").exception, HexconvError)
    with_bytes = tmp_path / "\udcff.onnx"  # a name of bytes that are not UTF-8
    with_bytes.write_bytes(voice.onnx_model().SerializeToString())
    assert isinstance(call("-q", "--model", with_bytes).exception, FileError)
    os.mkfifo(tmp_path / "pipe.onnx")
    assert isinstance(call("--model", tmp_path / "pipe.onnx").exception, FileError)
    assert call("--dry-run").exit_code == 2
