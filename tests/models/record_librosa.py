"""Writes tests/models/librosa.npz: what librosa computes of a wave. `pip install librosa` first."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np

FILE = Path(__file__).with_name("librosa.npz")
BANKS = ((22050, 1024, 80), (16000, 512, 40))
SAMPLES = 4096


def main() -> None:
    recorded = {
        f"bank_{rate}": librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands, fmin=0, fmax=8000)
        for rate, size, bands in BANKS
    }
    wave = np.random.default_rng(SAMPLES).uniform(-1, 1, SAMPLES).astype(np.float32)
    padded = np.pad(wave, 384, mode="reflect")
    spectrum = librosa.stft(padded, n_fft=1024, hop_length=256, window="hann", center=False)
    recorded["magnitudes"] = np.abs(spectrum)
    np.savez_compressed(FILE, **recorded)


if __name__ == "__main__":
    main()
