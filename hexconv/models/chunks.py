"""Long mels through a vocoder of fixed length: overlapping chunks that join without a seam.

A sample of a generator depends on `receptive_frames` mel frames on each side. A chunk's outputs
that are at least so far from the chunk's own edges are the same as in one whole run; only those are
kept, and the next chunk starts early enough to supply the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexconv.errors import ConfigError
from hexconv.models.config import GeneratorConfig
from hexconv.models.mel import FLOOR

Synthesis = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Mel (1, num_mels, T) to wave (hop_size*T,), float32."""

SILENCE = float(np.log(FLOOR))


@dataclass(frozen=True)
class Chunk:
    """Frames [start, start+length) go in; frames [keep_from, keep_to) of the whole come out."""

    start: int
    keep_from: int
    keep_to: int


def plan(frames: int, chunk: int, overlap: int) -> Iterator[Chunk]:
    """Covers `frames` with chunks of `chunk` frames that overlap by `overlap` frames.

    The first chunk starts with the utterance and the last ends with it, so that the network's own
    zero padding is where it would be in one whole run.
    """
    if frames <= chunk:
        yield Chunk(0, 0, frames)
        return
    done = 0
    while done < frames:
        start = min(max(0, done - overlap), frames - chunk)
        end = frames if start + chunk == frames else start + chunk - overlap
        yield Chunk(start, done, end)
        done = end


def synthesize(
    run: Synthesis, spectrum: NDArray[np.float32], chunk: int, config: GeneratorConfig
) -> NDArray[np.float32]:
    """A mel (1, num_mels, T) of any length through `run`, always `chunk` frames at a time.

    A mel shorter than one chunk is padded with silence at the end, and the surplus cut off.

    Raises:
        ConfigError: the chunk is no longer than the overlap on both sides.
    """
    overlap, hop, frames = config.receptive_frames, config.hop_size, spectrum.shape[2]
    if chunk <= 2 * overlap:
        raise ConfigError(
            f"a chunk of {chunk} frames has no frames left to keep",
            why=f"{overlap} frames on each side depend on the neighbors",
            hint=f"use more than {2 * overlap} frames",
        )
    if frames < chunk:
        spectrum = np.pad(
            spectrum, ((0, 0), (0, 0), (0, chunk - frames)), constant_values=SILENCE
        ).astype(np.float32)
    pieces = []
    for part in plan(frames, chunk, overlap):
        wave = run(np.ascontiguousarray(spectrum[:, :, part.start : part.start + chunk]))
        pieces.append(wave[(part.keep_from - part.start) * hop : (part.keep_to - part.start) * hop])
    return np.concatenate(pieces)
