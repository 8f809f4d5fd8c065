"""Where samples are: the files of a path, which inputs they are for, how many an array stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hexconv.calibrate.lengths import other_axis
from hexconv.errors import RangeError
from hexconv.raw_tensors import DataFormat

NUMPY_SUFFIXES = (".npy", ".npz")
SUFFIXES = (*NUMPY_SUFFIXES, ".bin")
"""Of the files of a folder of samples."""


@dataclass(frozen=True)
class SampledInput:
    """One input of a model, its format in raw files, and its axes of open length."""

    name: str
    shape: tuple[int, ...]
    form: DataFormat
    free: tuple[int, ...] = ()


def pairs_of(texts: Sequence[str]) -> dict[str, Path]:
    """The paths of `input=path` each, by input.

    Raises:
        RangeError: an input is given twice, or without a path.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not path:
            raise RangeError(f"input '{name}' has no path", hint="give NAME=PATH")
        if name in paths:
            raise RangeError(f"input '{name}' is given twice", where=f"{paths[name]}, {path}")
        paths[name] = Path(path)
    return paths


def per_input(folder: Path, inputs: Mapping[str, SampledInput]) -> dict[str, Path] | None:
    """The entries of a folder that are named after the inputs, if every input has one."""
    found: dict[str, Path] = {}
    for name in inputs:
        options = [folder / name, *(folder / f"{name}{suffix}" for suffix in SUFFIXES)]
        entry = next((path for path in options if _is_there(path)), None)
        if entry is None:
            return None
        found[name] = entry
    return found


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # input names may contain characters that file names cannot
        return False


def files_of(folder: Path) -> list[Path]:
    """The sample files of a folder, in order."""
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)


def count_of(shape: tuple[int, ...], info: SampledInput | None) -> int | None:
    """How many samples an array stacks; None for a single one (or a wrong shape)."""
    if info is None or shape == info.shape:
        return None
    if len(shape) == 0 or other_axis(shape, info.shape, info.free) is not None:
        return None
    stacked = len(shape) == len(info.shape) + 1 and is_sample(shape[1:], info)
    batched = info.shape[:1] == (1,) and is_sample((1, *shape[1:]), info)
    return int(shape[0]) if stacked or batched else None


def is_sample(shape: tuple[int, ...], info: SampledInput) -> bool:
    """Whether a shape is the input's, its length aside."""
    return shape == info.shape or other_axis(shape, info.shape, info.free) is not None
