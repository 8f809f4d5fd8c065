"""Log-mel spectrograms exactly as HiFi-GAN computes them, in numpy alone.

The steps are those of the official meldataset.mel_spectrogram: reflect padding of
(n_fft - hop_size)/2 on both sides, a periodic Hann window, |STFT| with 1e-9 under the root, the
Slaney mel filter bank with area normalization (librosa's default), and the natural logarithm of at
least 1e-5. Sums run in float64; the result is float32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hexconv.errors import RangeError
from hexconv.models.config import V1, GeneratorConfig

FLOOR = 1e-5
"""Smallest mel magnitude before the logarithm: silence is log(1e-5) = -11.51."""

_LINEAR_HZ = 200.0 / 3
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Hz to mel on Slaney's scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    above = np.maximum(hz, _LOG_START_HZ)
    curve = _LOG_START_MEL + np.log(above / _LOG_START_HZ) / _LOG_STEP
    return np.where(hz < _LOG_START_HZ, hz / _LINEAR_HZ, curve)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """Mel on Slaney's scale to Hz."""
    mel = np.asarray(mel, np.float64)
    above = np.maximum(mel, _LOG_START_MEL)
    curve = _LOG_START_HZ * np.exp(_LOG_STEP * (above - _LOG_START_MEL))
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ, curve)


def filter_bank(
    sampling_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float
) -> NDArray[np.float32]:
    """Triangular mel filters of unit area, (num_mels, n_fft/2+1) float32."""
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), num_mels + 2))
    bins = np.linspace(0, sampling_rate / 2, n_fft // 2 + 1)
    widths = np.diff(edges)
    rising = (bins - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins) / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def hann(size: int) -> NDArray[np.float64]:
    """The periodic Hann window, (size,) float64."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@lru_cache(maxsize=8)
def _bank(config: GeneratorConfig) -> NDArray[np.float64]:
    return filter_bank(
        config.sampling_rate, config.n_fft, config.num_mels, config.fmin, config.fmax
    ).astype(np.float64)


def smallest_length(config: GeneratorConfig = V1) -> int:
    """The minimum number of samples for one frame: reflection needs more samples than it pads."""
    return max((config.n_fft - config.hop_size) // 2 + 1, config.hop_size)


def frame_count(samples: int, config: GeneratorConfig = V1) -> int:
    """Mel frames of a wave of `samples` samples."""
    padded = samples + 2 * ((config.n_fft - config.hop_size) // 2)
    return (padded - config.n_fft) // config.hop_size + 1


def magnitudes(wave: NDArray[np.float32], config: GeneratorConfig = V1) -> NDArray[np.float64]:
    """|STFT| of a wave (T,), reflect-padded as HiFi-GAN pads it: (n_fft/2+1, frames) float64.

    Raises:
        RangeError: the wave is not one-dimensional, too short for one frame, or not finite.
    """
    wave = np.asarray(wave)
    if wave.ndim != 1:
        raise RangeError("a wave has one axis", why=f"its shape is {wave.shape}")
    if wave.size < smallest_length(config):
        raise RangeError(
            "the wave is too short for one mel frame",
            why=f"{wave.size} samples, at least {smallest_length(config)} are needed",
        )
    if not np.isfinite(wave).all():
        raise RangeError("the wave contains values that are not finite")
    pad = (config.n_fft - config.hop_size) // 2
    padded = np.pad(wave.astype(np.float64), pad, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_size]
    window = np.zeros(config.n_fft)
    start = (config.n_fft - config.win_size) // 2
    window[start : start + config.win_size] = hann(config.win_size)
    spectrum = np.fft.rfft(frames * window, axis=1)
    return np.asarray(np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9).T)


def log_mel(wave: NDArray[np.float32], config: GeneratorConfig = V1) -> NDArray[np.float32]:
    """A wave (T,) in [-1, 1] to its log-mel spectrogram (1, num_mels, frames) float32.

    Raises:
        RangeError: as `magnitudes`.
    """
    mel = _bank(config) @ magnitudes(wave, config)
    return np.log(np.maximum(mel, FLOOR))[None].astype(np.float32)
