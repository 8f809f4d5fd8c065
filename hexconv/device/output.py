"""Outputs of runs, as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from hexconv.arrays import Array
from hexconv.device.profile import MeasuredNode, Profile
from hexconv.files import write_files


def write_outputs(outputs: Mapping[str, Array], folder: Path) -> dict[str, Path]:
    """Write each output as `folder/NAME.npy`; characters invalid in file names become `_`.

    Returns:
        The file of each output.

    Raises:
        FileError: if they cannot be written.
    """
    files: dict[str, Path] = {}
    for name in outputs:
        stem = re.sub(r"[^\w.-]", "_", name)
        while folder / f"{stem}.npy" in files.values():
            stem += "_"
        files[name] = folder / f"{stem}.npy"
    write_files({file: _npy(outputs[name]) for name, file in files.items()})
    return files


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def profile_csv(profile: Profile) -> str:
    """One row for each executed node, in order."""
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, [field.name for field in fields(MeasuredNode)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(asdict(node) for node in profile.nodes)
    return buffer.getvalue()
