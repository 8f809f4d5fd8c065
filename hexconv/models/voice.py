"""The sample voice: a small trained HiFi-GAN generator that ships with hexconv.

V3's family (residual block 2, upsampling 8, 8, 4) with 128 first channels and two residual blocks:
348 thousand weights, stored as float16. Trained by benchmarks/voice on sentences that espeak-ng
speaks at one pitch; docs/hifigan.md describes the training and the quality. Needs neither torch
nor sound packages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from hexconv.models import config, layers, onnx_writer

_DATA = Path(__file__).parent / "data"

CONFIG = config.read(_DATA / "voice.json")

ORIGIN = "the sample voice of hexconv"

RECORDING = _DATA / "held.wav"
"""A held-out sentence as espeak-ng speaks it (22,050 Hz, mono, 16 bits)."""


def weights() -> dict[str, NDArray[np.float32]]:
    """The trained weights by official name, widened from float16."""
    return layers.read_npz(CONFIG, _DATA / "voice.npz")


def onnx_model(length: int | None = None, *, conv2d: bool = False) -> onnx.ModelProto:
    """The sample voice as ONNX: `inputs` (1,80,length) to `output` (1,1,256*length).

    Args:
        length: mel frames, or None for any number of them.
        conv2d: 2-D convs: (1,80,length,1) to (1,1,256*length,1).
    """
    form = onnx_writer.VocoderForm(length=length, conv2d=conv2d)
    return onnx_writer.write(CONFIG, weights(), form, name="voice", origin=ORIGIN)


def mels() -> dict[str, NDArray[np.float32]]:
    """Log-mels of held-out sentences by name, each (1,80,frames) float32."""
    with np.load(_DATA / "held_mels.npz", allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
