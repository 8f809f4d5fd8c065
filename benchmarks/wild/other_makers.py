"""Bytes of files, letters, and EEG-like noise."""

from __future__ import annotations

import numpy as np

from benchmarks.wild import sound
from benchmarks.wild.draw import MAKERS, Array, Draw


@MAKERS.register("bytes")
def _bytes(draw: Draw, shape: tuple[int, ...]) -> Array:
    """The first and last bytes of a file that a source ships, as magika reads them."""
    root = draw.material.cache.folder / "sources"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    kinds = {path.suffix: path for path in files}
    file = list(kinds.values())[(2 * draw.number + draw.held) % len(kinds)]
    content = np.frombuffer(file.read_bytes(), np.uint8).astype(np.int32)
    half = shape[1] // 2
    padded = np.full((2, half), 256, np.int32)
    first, last = content[:half], content[-half:]
    padded[0, : len(first)] = first
    padded[1, half - len(last) :] = last
    return padded


@MAKERS.register("letters")
def _letters(
    draw: Draw, shape: tuple[int, ...], low: int, high: int, space: int, dtype: str = "float32"
) -> Array:
    """Letters of an alphabet in words; the numbers of a package's own table."""
    rng = draw.rng
    found = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.18, space, found).astype(dtype)


@MAKERS.register("eeg")
def _eeg(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, 1, samples) at 250 Hz: pink noise with bursts of 12 to 15 Hz, of unit variance."""
    rng, size = draw.rng, shape[-1]
    signal = sound.colored(rng, size).astype(np.float64)
    time = np.arange(size) / 250
    for _ in range(int(rng.integers(2, 7))):
        center, wide = rng.uniform(1, time[-1] - 1), rng.uniform(0.25, 0.6)
        burst = np.exp(-(((time - center) / wide) ** 2)) * rng.uniform(1, 3)
        signal += burst * np.sin(2 * np.pi * rng.uniform(12, 15) * time)
    return np.float32((signal - signal.mean()) / signal.std())


@MAKERS.register("scalogram")
def _scalogram(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, scales, samples): magnitudes of Shannon wavelets of 12 to 24 Hz, of unit variance."""
    size = shape[-1]
    spectrum = np.fft.fft(_eeg(draw, (1, 1, size)))
    hertz = np.fft.fftfreq(size, 1 / 250)
    rows = []
    for scale in np.geomspace(135, 270, shape[1]):
        center, wide = 13 * 250 / scale, 6 * 250 / scale
        row = np.abs(np.fft.ifft(spectrum * (np.abs(hertz - center) < wide / 2)))
        rows.append((row - row.mean()) / row.std())
    return np.float32(np.stack(rows))


@MAKERS.register("eeg-spectrogram")
def _eeg_spectrogram(draw: Draw, shape: tuple[int, ...]) -> Array:
    """(1, bins, frames): log power of 1 s every 0.5 s, of unit variance in each bin."""
    signal = _eeg(draw, (1, 1, 125 * (shape[2] + 1)))
    power = np.abs(sound.stft(signal, 250, 125, sound.hann(250))[: shape[2], : shape[1]]) ** 2
    logs = np.log(power.T + 1e-9)
    return np.float32((logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True))
