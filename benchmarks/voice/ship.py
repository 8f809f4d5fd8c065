"""Copy a trained voice to where hexconv ships it: weights, held-out mels, one recording.

python benchmarks/voice/ship.py CORPUS RUN
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from measure import peak_normalized

from hexconv.models import voice
from hexconv.models.mel import log_mel

DATA = Path(voice.__file__).parent / "data"

HELD = {"en_f4": "074_0", "en_us": "077_0", "zh": "080_0", "zh_f2": "081_0"}
"""Shipped mels: name and take."""

RECORDING = "en_us"
"""Of which the recording ships too."""


def main(corpus: Path, run: Path) -> None:
    """Copies the float16 weights and cuts the mels anew."""
    shutil.copyfile(run / "voice8.npz", DATA / "voice.npz")
    mels = {
        name: log_mel(peak_normalized(corpus / "held" / f"{take}.wav"), voice.CONFIG)
        for name, take in HELD.items()
    }
    np.savez_compressed(
        DATA / "held_mels.npz", **{n: m.astype(np.float16) for n, m in mels.items()}
    )
    shutil.copyfile(corpus / "held" / f"{HELD[RECORDING]}.wav", DATA / "held.wav")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
