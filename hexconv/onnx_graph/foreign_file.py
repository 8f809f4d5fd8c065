"""What a file is that is no ONNX model, by its first bytes."""

from __future__ import annotations

from pathlib import Path

KINDS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "it is a pointer of Git LFS, not the file itself",
        "git lfs pull fetches the file",
    ),
    (b"<!doctype html", "it is a web page", "download the file itself, not the page around it"),
    (b"<html", "it is a web page", "download the file itself, not the page around it"),
    (
        b"\x89HDF",
        "it is an HDF5 file, as Keras writes it",
        "convert the model with tf2onnx",
    ),
    (b"\x1f\x8b", "it is compressed with gzip", "unpack it"),
)
"""First bytes in lower case, what the file is, and what to do."""

TORCH = "it is a PyTorch file", "export the model with torch.onnx.export"


def foreign_kind(path: Path, content: bytes) -> tuple[str, str] | None:
    """What a file is and what to do with it; None where nothing speaks against ONNX."""
    start = content[:64].lstrip().lower()
    for first, what, hint in KINDS:
        if start.startswith(first.lower()):
            return what, hint
    if content[4:8] == b"TFL3":
        return "it is a TensorFlow Lite model", "convert the model with tf2onnx --tflite"
    if content.startswith(b"PK\x03\x04"):
        packed = b"data.pkl" in content[:4096] or b"constants.pkl" in content[:4096]
        return TORCH if packed else ("it is a zip archive", "unpack it")
    if content.startswith((b"\x80\x02", b"\x80\x04")):
        return TORCH
    if path.suffix.lower() in (".yml", ".yaml"):
        return "it is a YAML file", "give a deployment YAML with --config"
    return None
