"""A file that is no ONNX model is named by its kind."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import hexconv
from hexconv.errors import FileError

FILES = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html></html>", "web page"),
    "plain html": (b"<HTML><body>404</body></HTML>", "web page"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(64), "tf2onnx"),
    "gzip": (b"\x1f\x8b\x08" + bytes(16), "gzip"),
    "pickle": (b"\x80\x02}q\x00.", "torch.onnx.export"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_reason_is_the_kind_of_the_file(tmp_path: Path, name: str) -> None:
    content, said = FILES[name]
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(FileError, match=said):
        hexconv.check(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "member, said", [("model/data.pkl", "PyTorch"), ("model.onnx", "zip archive")]
)
def test_an_archive_is_one_of_torch_or_any(tmp_path: Path, member: str, said: str) -> None:
    with zipfile.ZipFile(tmp_path / "model.onnx", "w") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(FileError, match=said):
        hexconv.check(tmp_path / "model.onnx")


def test_a_yaml_hints_at_config(tmp_path: Path) -> None:
    (tmp_path / "my.yml").write_text("models: {}\n", encoding="utf-8")
    with pytest.raises(FileError, match="config"):
        hexconv.convert(tmp_path / "my.yml")
