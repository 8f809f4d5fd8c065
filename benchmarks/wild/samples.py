"""Samples for each network: what its authors feed it.

Everything is drawn by number: the same number, the same sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.wild import manifest, other_makers, picture_makers, speech_makers  # noqa: F401
from benchmarks.wild.draw import MAKERS, Draw, Feeds, Material, session

STEPS_OF_A_SEQUENCE = 4
"""Samples of a network with states that come from one recording."""


def feeds(model: manifest.Model, draw: Draw) -> Feeds:
    """One sample of a model without states."""
    return {
        name: np.ascontiguousarray(
            np.reshape(MAKERS[item.kind](draw, item.shape, **item.options), item.shape)
        )
        for name, item in model.inputs.items()
    }


def samples(model: manifest.Model, material: Material, count: int, held: bool) -> list[Feeds]:
    """Samples of a model, constants left out."""
    if not model.states:
        return [feeds(model, Draw(material, number, held)) for number in range(count)]
    return [_after_steps(model, material, number, held) for number in range(count)]


def _after_steps(model: manifest.Model, material: Material, number: int, held: bool) -> Feeds:
    """What a network with states reads at some frame of a recording."""
    recording, place = divmod(number, STEPS_OF_A_SEQUENCE)
    sample: Feeds = {}
    carried: Feeds = {}
    network = session(str(material.cache.model(model)))
    names = [output.name for output in network.get_outputs()]
    for step in range(3 + 6 * place):
        sample = {**feeds(model, Draw(material, recording, held, step)), **carried}
        results = dict(zip(names, network.run(None, complete(model, sample)), strict=True))
        carried = {to: results[of] for to, of in model.states.items()}
    return sample


def loudness(drawn: Sequence[Feeds]) -> float:
    """Root mean square of all numbers of samples, by which other samples are told from the same."""
    numbers = [np.float64(array).reshape(-1) for sample in drawn for array in sample.values()]
    return float(np.sqrt(np.mean(np.concatenate(numbers) ** 2)))


def complete(model: manifest.Model, sample: Feeds) -> Feeds:
    """A sample with the model's constants, in the types that ONNX Runtime expects."""
    return {**sample, **{name: np.asarray(given) for name, given in constants(model).items()}}


def constants(model: manifest.Model) -> Feeds:
    """The inputs that are fixed: `{value, shape, dtype}` each."""
    return {
        name: np.full(given.get("shape", ()), given["value"], given["dtype"])
        for name, given in model.constants.items()
    }
