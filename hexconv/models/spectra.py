"""Log-mel files (.npy or raw .bin) for synthesis, and checks for every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexconv.errors import FileError, RangeError
from hexconv.models.config import GeneratorConfig
from hexconv.numpy_files import read_npy
from hexconv.paths import is_file
from hexconv.raw_tensors import SUFFIXES as RAW_SUFFIXES
from hexconv.raw_tensors import read_raw

SUFFIXES = (".npy", ".bin")
"""Of the files of a folder of mels."""


def read(path: str | Path, config: GeneratorConfig) -> NDArray[np.float32]:
    """A log-mel of shape (num_mels, T) or (1, num_mels, T), as (1, num_mels, T) float32.

    Raises:
        FileError: missing, or not a .npy of plain numbers.
        RangeError: another shape, no frames, or values that are not finite.
    """
    if Path(path).suffix in RAW_SUFFIXES and is_file(path):
        return check(_raw(Path(path), config.num_mels), config, where=str(path))
    stored = read_npy(path, "the mel")
    if stored.dtype.kind not in "fiu":
        raise FileError("the mel is not a .npy of real numbers", where=str(path))
    spectrum = stored[None] if stored.ndim == 2 else stored
    with np.errstate(over="ignore"):  # past float32 it is infinite, and an error
        narrow = spectrum.astype(np.float32)
    return check(narrow, config, where=str(path))


def _raw(path: Path, bands: int) -> NDArray[np.float32]:
    """Raw float32, as many frames as the file has."""
    frames = max(path.stat().st_size // (4 * bands), 1)
    return read_raw(path, (1, bands, frames))


def check(
    spectrum: NDArray[np.float32], config: GeneratorConfig, *, where: str = ""
) -> NDArray[np.float32]:
    """Check that `spectrum` is a finite (1, num_mels, T) with T > 0, and return it.

    Raises:
        RangeError: it is not.
    """
    shape = spectrum.shape
    if len(shape) != 3 or shape[0] != 1 or shape[1] != config.num_mels or shape[2] < 1:
        hint = "it looks transposed" if shape[-1:] == (config.num_mels,) else ""
        raise RangeError(
            f"the mel has shape {shape}, (1, {config.num_mels}, frames) is expected",
            where=where,
            why=hint,
            hint="give one utterance, bands before frames",
        )
    if not np.isfinite(spectrum).all():
        raise RangeError("the mel contains values that are not finite", where=where)
    return spectrum
