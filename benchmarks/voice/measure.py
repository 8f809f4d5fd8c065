"""How good the shipped voice sounds: figures over every held-out take of the corpus.

    python benchmarks/voice/measure.py CORPUS [--weights RUN/voice.npz] [--dsp]

Each recording becomes a mel, the mel a wave again, and the wave is compared with the recording.
With --dsp the mel also goes through the simulated int8 voice, 64 frames at a time, whose wave is
compared with the float voice's; its ranges come from the four mels that ship with hexconv. Prints
one row per take and the mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from hexconv.models import fidelity, layers, mel, onnx_writer, voice
from hexconv.models.vocoder import Vocoder, speak

PEAK = 0.95
FIGURES = ("mel_l1", "lsd", "mcd", "stoi", "pesq")
DSP_FIGURES = ("snr", *FIGURES)
CHUNK = 64


def peak_normalized(path: Path) -> np.ndarray:
    """A wav (T,) float32 with its peak at 0.95, as the voice was trained."""
    wave = soundfile.read(path, dtype="float32")[0]
    return (wave / np.abs(wave).max() * PEAK).astype(np.float32)


def row(true: np.ndarray, made: np.ndarray, figures: tuple[str, ...]) -> list[float]:
    """The figures of one wave against another."""
    found = fidelity.compare(true, made, voice.CONFIG).as_dict()
    return [float(found[name] or np.nan) for name in figures]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dsp", action="store_true")
    options = parser.parse_args()
    weights = layers.read_npz(voice.CONFIG, options.weights) if options.weights else voice.weights()
    model = onnx_writer.write(voice.CONFIG, weights)
    vocoder = Vocoder(model, voice.CONFIG, weights, chunk=CHUNK)
    rows = []
    names = (*FIGURES, *(f"8b {name}" for name in DSP_FIGURES if options.dsp))
    print("take   ", *(f"{name:>9}" for name in names))
    for path in sorted((options.corpus / "held").glob("*.wav")):
        true = peak_normalized(path)
        spectrum = mel.log_mel(true, voice.CONFIG)
        made = speak("onnx", vocoder, spectrum).wave
        figures = row(true, made, FIGURES)
        if options.dsp:
            figures += row(made, speak("simulate", vocoder, spectrum).wave, DSP_FIGURES)
        rows.append(figures)
        print(f"{path.stem:7}", *(f"{value:9.3f}" for value in figures), flush=True)
    print("mean   ", *(f"{value:9.3f}" for value in np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()
