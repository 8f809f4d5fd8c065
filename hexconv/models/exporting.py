"""From a HiFi-GAN checkpoint to an ONNX file that is verified to be the same generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hexconv.files import write_files
from hexconv.models import chunks, hifigan, onnx_writer
from hexconv.models.config import GeneratorConfig
from hexconv.models.layers import Weights
from hexconv.models.onnx_writer import VocoderForm
from hexconv.onnx_runtime import opened

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Two values are close when they differ by no more than ABSOLUTE + RELATIVE * |torch's|."""

ANY_LENGTH = (32, 100, 163, 260)
"""Frames over which a model of dynamic length is compared."""


@dataclass(frozen=True)
class Comparison:
    """torch and ONNX Runtime over one mel.

    Attributes:
        frames: of the mel.
        shape: of ONNX Runtime's output.
        largest: the largest difference of two samples.
        close: share of samples that are close.
        torch_seconds, onnx_seconds: of one run, after a first one.
    """

    frames: int
    shape: tuple[int, ...]
    largest: float
    close: float
    torch_seconds: float
    onnx_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def random_mel(config: GeneratorConfig, frames: int) -> NDArray[np.float32]:
    """A mel (1, num_mels, frames) with the levels of speech; depends only on `frames`."""
    draw = np.random.default_rng(frames)
    levels = draw.normal(-5.0, 2.5, (1, config.num_mels, frames))
    return np.clip(levels, chunks.SILENCE, 2.0).astype(np.float32)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the model; the file is written completely or not at all.

    Raises:
        FileError: the folder cannot be written.
    """
    write_files({path: model.SerializeToString()})


def compare(
    generator: hifigan.Generator, path: Path, form: VocoderForm, lengths: Sequence[int]
) -> list[Comparison]:
    """Run the written file and the torch generator over mels of several lengths."""
    session = opened(path.read_bytes())
    rows = []
    for frames in lengths:
        spectrum = random_mel(generator.config, frames)
        feed = {form.input_name: spectrum[..., None] if form.conv2d else spectrum}
        hifigan.run(generator, spectrum)
        session.run(None, feed)
        began = perf_counter()
        true = hifigan.run(generator, spectrum)
        between = perf_counter()
        made = np.asarray(session.run(None, feed)[0])
        ended = perf_counter()
        flat = made.reshape(true.shape)
        rows.append(
            Comparison(
                frames,
                made.shape,
                float(np.abs(flat - true).max()),
                float(np.isclose(flat, true, rtol=RELATIVE, atol=ABSOLUTE).mean()),
                between - began,
                ended - between,
            )
        )
    return rows


def write(
    config: GeneratorConfig, weights: Weights, form: VocoderForm, path: Path, origin: str
) -> list[Comparison]:
    """Write the generator as ONNX and compare the file with torch.

    Returns:
        One row per length: the model's own where it is fixed, else `ANY_LENGTH`.

    Raises:
        ModelError: the weights are for another config.
        FileError: the file cannot be written.
    """
    generator = hifigan.from_weights(config, weights)
    save(onnx_writer.write(config, weights, form, origin=origin), path)
    lengths = (form.length,) if form.length else ANY_LENGTH
    return compare(generator, path, form, lengths)
