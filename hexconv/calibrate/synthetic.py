"""Seeded random inputs, for a model without samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from hexconv.errors import RangeError
from hexconv.onnx_graph import FloatGraph

DEFAULT_RANGE = (-1.0, 1.0)


def synthetic_samples(
    graph: FloatGraph,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    *,
    count: int = 8,
    seed: int = 0,
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """Random samples that fill each input's range; the same seed gives the same samples.

    Half are uniform over the range; the others vary slowly along the last-but-one axis (time), as
    features of speech are, and reach both ends of the range.

    Args:
        graph: the graph whose inputs to generate.
        ranges: (min, max) by input; `DEFAULT_RANGE` for an input that is not named.
        count: how many samples.
        seed: of the random numbers.

    Raises:
        RangeError: a range names no input, or is empty or not finite.
    """
    wanted = dict(ranges or {})
    names = [info.name for info in graph.inputs]
    for name, (low, high) in wanted.items():
        if name not in names:
            raise RangeError(f"the model has no input '{name}'", hint=f"it has {', '.join(names)}")
        if not (np.isfinite([low, high]).all() and low < high):
            raise RangeError(f"{low},{high} is not a range", where=f"input '{name}'")
    generator = np.random.default_rng(seed)
    for number in range(count):
        yield {
            info.name: _fill(generator, info.shape, wanted.get(info.name, DEFAULT_RANGE), number)
            for info in graph.inputs
        }


def _fill(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    bounds: tuple[float, float],
    number: int,
) -> npt.NDArray[np.float32]:
    noise = generator.random(shape, np.float32)
    if number % 2 and len(shape) >= 2 and shape[-2] > 1:
        noise = np.cumsum(noise - np.float32(0.5), axis=-2, dtype=np.float32)
        spread = noise.max() - noise.min()
        noise = (noise - noise.min()) / (spread if spread > 0 else np.float32(1))
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    filled: npt.NDArray[np.float32] = np.clip(low + noise * (high - low), low, high)
    return filled
