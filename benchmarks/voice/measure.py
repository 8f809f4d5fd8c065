"""How good the shipped voice sounds: figures over every held-out take of the corpus.

    python benchmarks/voice/measure.py CORPUS [--weights RUN/voice.npz]

Each recording becomes a mel, the mel a wave again, and the wave is compared with the recording.
Prints one row a take and the mean, per language.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

from hexconv.models import fidelity, layers, mel, onnx_writer, voice

PEAK = 0.95
FIGURES = ("mel_l1", "lsd", "mcd", "stoi", "pesq")


def peak_normalised(path: Path) -> np.ndarray:
    """A wav (T,) float32 with its peak at 0.95, as the voice was trained."""
    wave = soundfile.read(path, dtype="float32")[0]
    return (wave / np.abs(wave).max() * PEAK).astype(np.float32)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    weights = layers.read_npz(voice.CONFIG, options.weights) if options.weights else voice.weights()
    model = onnx_writer.write(voice.CONFIG, weights)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = []
    print("take   ", *(f"{name:>7}" for name in FIGURES))
    for path in sorted((options.corpus / "held").glob("*.wav")):
        true = peak_normalised(path)
        made = session.run(None, {"inputs": mel.log_mel(true, voice.CONFIG)})[0].ravel()
        found = fidelity.compare(true, made, voice.CONFIG).as_dict()
        rows.append([float(found[name] or np.nan) for name in FIGURES])
        print(f"{path.stem:7}", *(f"{value:7.3f}" for value in rows[-1]))
    print("mean   ", *(f"{value:7.3f}" for value in np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()
