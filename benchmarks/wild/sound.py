"""Speech by espeak-ng voices, and what audio networks read of it."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.voice.corpus import VOICES, Take, speak, takes
from hexconv.models.mel import filter_bank, hann

Wave = npt.NDArray[np.float32]
TEXTS = Path(__file__).parents[1] / "voice" / "texts.txt"
VOICED = 24
"""Number of recordings of either part."""


class Recordings:
    """Spoken sentences; those that are held out are other sentences, by other takes.

    Args:
        folder: where recordings are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def draw(self, rng: np.random.Generator, held: bool, length: int, rate: int) -> Wave:
        """(length,) float32 in -1..1: speech at some level, with some noise."""
        parts: list[Wave] = []
        while sum(map(len, parts)) < 2 * length:
            parts.append(self._recording(int(rng.integers(VOICED)), held, rate))
        wave = np.concatenate(parts)
        start = int(rng.integers(len(wave) - length + 1))
        wave = wave[start : start + length] * np.float32(10 ** rng.uniform(-1.0, -0.1))
        noise = colored(rng, length) * np.float32(10 ** rng.uniform(-3.5, -1.5))
        return np.clip(wave + noise, -1, 1)

    def phrase(self, rng: np.random.Generator, text: str, rate: int) -> Wave:
        """A phrase by some English voice, at some speed and pitch, without silence around it."""
        voice = VOICES["en"][int(rng.integers(len(VOICES["en"])))]
        speed, pitch = int(rng.integers(130, 181)), int(rng.integers(30, 76))
        name = f"{text}_{voice}_{speed}_{pitch}".replace(" ", "_")
        wave = _read(self._folder, Take("phrases", name, voice, speed, pitch, False, text), rate)
        loud = np.flatnonzero(np.abs(wave) > 0.01)
        return wave[loud[0] : loud[-1] + 1]

    def _recording(self, number: int, held: bool, rate: int) -> Wave:
        take = chosen(held)[number % len(chosen(held))]
        return _read(self._folder, take, rate)


@lru_cache(maxsize=2)
def chosen(held: bool) -> list[Take]:
    """The first recordings of either part."""
    part = "held" if held else "train"
    found = [take for take in takes(TEXTS, "natural") if take.part == part]
    return found[:: max(1, len(found) // VOICED)][:VOICED]


@lru_cache(maxsize=128)
def _read(folder: Path, take: Take, rate: int) -> Wave:
    import soundfile
    import soxr

    path = folder / take.part / f"{take.name}.wav"
    if not path.exists():
        try:
            speak(take, folder)
        except FileNotFoundError:
            raise SystemExit("speech needs espeak-ng: apt-get install espeak-ng") from None
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"espeak-ng failed: {error}") from None
    wave, own = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(wave, own, rate), np.float32)


def colored(rng: np.random.Generator, length: int) -> Wave:
    """Noise of unit power, between white and pink."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    falling = np.arange(1, len(spectrum) + 1) ** -rng.uniform(0.0, 0.5)
    noise = np.fft.irfft(spectrum * falling, length)
    return np.float32(noise / max(float(noise.std()), 1e-12))


def stft(
    wave: Wave, size: int, hop: int, window: npt.NDArray[np.float64]
) -> npt.NDArray[np.generic]:
    """(frames, size // 2 + 1) complex; the wave is padded by reflection, as librosa does."""
    padded = np.pad(wave.astype(np.float64), size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.fft.rfft(frames * window, axis=1)


def log_power(wave: Wave, size: int, hop: int) -> Wave:
    """(frames, size // 2 + 1): log10 of the power, as DNSMOS computes it."""
    power = np.abs(stft(wave, size, hop, hann(size))) ** 2
    return np.float32(np.log10(np.maximum(power, 1e-12)))


def mel_decibels(wave: Wave, rate: int, size: int, hop: int, bands: int) -> Wave:
    """(frames, bands): dB below the loudest, scaled as DNSMOS and AECMOS do."""
    odd = size + 1
    power = np.abs(stft(wave, odd, hop, hann(odd))) ** 2
    mel = power @ filter_bank(rate, odd, bands, 0.0, rate / 2).T.astype(np.float64)
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    relative = np.maximum(decibels - decibels.max(), -80.0)
    return np.float32((relative + 40) / 40)
