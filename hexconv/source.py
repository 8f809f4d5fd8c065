"""What is known of a model before it is read: a name for it, and its checksum."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.files import sha256_of

if TYPE_CHECKING:
    import onnx


def model_name(source: str | Path | onnx.ModelProto) -> str:
    """A name that MACE takes (`[A-Za-z_]\\w*`), from the file's."""
    stem = Path(source).stem if isinstance(source, (str, Path)) else source.graph.name
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return name if re.match(r"[A-Za-z_]", name) else f"model_{name}".rstrip("_")


def sha256(source: str | Path | onnx.ModelProto) -> str:
    """Of the model file, in hexadecimal; of the serialized proto otherwise."""
    if isinstance(source, (str, Path)):
        return sha256_of(Path(source))
    return hashlib.sha256(source.SerializeToString(deterministic=True)).hexdigest()
