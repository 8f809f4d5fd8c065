"""An ONNX file as one proto, its external data loaded: for models that are changed as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model

from hexconv.errors import FileError, ModelError
from hexconv.paths import is_file

LARGEST = (1 << 31) - 1
"""Bytes of the largest protobuf message."""
TOO_LARGE, WHY_TOO_LARGE = "it would be too large", "one ONNX file has at most 2 GB"

NOTE = "hexconv_interface"
"""The entry of a model's metadata that says how hexconv changed its interface."""


@dataclass(frozen=True)
class Note:
    """What a model was made of.

    Attributes:
        file: the name of the ONNX file; empty where it was given in memory.
        bound: its inputs that are constants now.
    """

    file: str = ""
    bound: tuple[str, ...] = ()

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Note:
        """The note in a model's metadata; an empty one where there is none, or another's."""
        try:
            found = json.loads(metadata.get(NOTE, ""))
            return cls(str(found["file"]), tuple(map(str, found["bound"])))
        except (ValueError, KeyError, TypeError):
            return cls()


def is_changed(source: str | Path | onnx.ModelProto) -> bool:
    """Whether a model's interface was changed."""
    return isinstance(source, onnx.ModelProto) and any(
        entry.key == NOTE for entry in source.metadata_props
    )


def load_external(model: onnx.ModelProto, path: Path, size: int) -> onnx.ModelProto:
    """The model with its external data, which is beside its file.

    Args:
        model: as parsed; changed in place.
        path: of its file.
        size: bytes of the parsed content.

    Raises:
        ModelError: one file could not hold it all.
        FileError: the data cannot be read.
    """
    if size + _external_bytes(model, path.parent) > LARGEST:
        raise ModelError(TOO_LARGE, where=str(path), why=WHY_TOO_LARGE)
    try:
        load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise FileError(
            "the ONNX file's external data cannot be read", where=str(path), why=str(error)
        ) from error
    return model


def _external_bytes(model: onnx.ModelProto, folder: Path) -> int:
    """Of the files that have the model's external data."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sum((folder / name).stat().st_size for name in names if is_file(folder / name))
