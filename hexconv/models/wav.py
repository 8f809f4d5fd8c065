"""Sound files in and out (the `audio` extra): any rate and channel count to the model's."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv.errors import FileError, MissingExtra, system_reason
from hexconv.files import write_files
from hexconv.paths import check_inflated, check_is_file, exists

CLIPPED_AT = 0.999
CLIPPED_SHARE = 1e-3
"""A recording counts as clipped when more than this share of it is at full scale."""

LOWEST_RATE = 1000
"""Hz: a header with less is damaged, and resampling would fill the memory."""

LARGEST = 1 << 30
"""Samples of a recording: nine hours at 32 kHz."""

SILENT_BELOW = 1e-4


@dataclass(frozen=True)
class Recording:
    """A sound file in the form that the model needs.

    Attributes:
        wave: (T,) float32, mono, within [-1, 1].
        rate: Hz.
        warnings: defects of the recording, one sentence each.
    """

    wave: NDArray[np.float32]
    rate: int
    warnings: tuple[str, ...] = ()


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtra("soundfile", "audio") from error
    return soundfile


def read(path: str | Path, rate: int) -> Recording:
    """Read a sound file, mix its channels to one and resample it to `rate` Hz.

    Raises:
        FileError: missing, not a sound file, empty, or with values that are not finite.
        MissingExtra: soundfile (or soxr, when the rate differs) is not installed.
    """
    soundfile = _soundfile()
    if not exists(path):
        raise FileError("there is no such sound file", where=str(path))
    _check_is_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            subtype, own_rate = file.subtype, file.samplerate
            _check_length(file, rate, str(path))
            check_inflated(2 * file.frames * file.channels, Path(path).stat().st_size)
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FileError(
            "this is not a sound file that libsndfile can read", where=str(path), why=str(error)
        ) from error
    if not samples.size:
        raise FileError("the sound file is empty", where=str(path))
    if not np.isfinite(samples).all():
        raise FileError("the sound file contains values that are not finite", where=str(path))
    warnings = _warnings(samples, subtype)
    wave = np.clip(resample(samples.mean(axis=1), own_rate, rate), -1, 1)
    return Recording(wave.astype(np.float32), rate, warnings)


def _check_is_file(path: str | Path) -> None:
    try:
        check_is_file(path)
    except OSError as error:
        why = system_reason(error)
        raise FileError("the sound file cannot be read", where=str(path), why=why) from error


def _check_length(file: Any, rate: int, where: str) -> None:
    """Raise for a header that promises more than fits memory."""
    values = file.frames * file.channels
    resampled = file.frames * rate // max(file.samplerate, 1)
    rated = file.samplerate >= LOWEST_RATE
    if not file.seekable() or not rated or not 0 <= max(values, resampled) <= LARGEST:
        raise FileError(
            "the header of the sound file is damaged",
            where=where,
            why=f"its header states {file.frames} frames at {file.samplerate} Hz",
        )


def _warnings(samples: NDArray[np.float32], subtype: str) -> tuple[str, ...]:
    found = []
    peak = float(np.abs(samples).max())
    if peak < SILENT_BELOW:
        found.append("the recording is silent")
    if float((np.abs(samples) >= CLIPPED_AT).mean()) > CLIPPED_SHARE:
        found.append("the recording is clipped: many samples are at full scale")
    if subtype in ("PCM_U8", "PCM_S8", "ULAW", "ALAW"):
        found.append(f"the recording has 8 bits a sample ({subtype}): expect audible noise")
    return tuple(found)


def resample(wave: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """A wave (T,) at `rate` Hz to `wanted` Hz (soxr, high quality)."""
    if rate == wanted:
        return wave
    try:
        import soxr
    except ImportError as error:
        raise MissingExtra("soxr", "audio") from error
    return np.asarray(soxr.resample(wave, rate, wanted), np.float32)


def write(path: str | Path, wave: NDArray[np.float32], rate: int) -> None:
    """Write a wave (T,) in [-1, 1] as 16-bit mono PCM, completely or not at all.

    Raises:
        FileError: the folder cannot be written.
    """
    content = io.BytesIO()
    _soundfile().write(content, wave, rate, subtype="PCM_16", format="WAV")
    write_files({Path(path): content.getvalue()})
