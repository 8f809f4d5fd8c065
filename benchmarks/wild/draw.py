"""One sample of a network, drawn by its number, and what it is drawn from.

Held-out samples come from other sentences and other photos than those of calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from benchmarks.wild import manifest, sound
from benchmarks.wild.files import Cache
from hexconv.registry import Registry

Array = npt.NDArray[Any]
Feeds = dict[str, Array]


@dataclass(frozen=True)
class Material:
    """Where samples come from.

    Attributes:
        cache: with the files of the sources.
        sources: by name.
        models: by name; some samples are made by another model.
        pictures: collections of photos by name: source, and the paths of each part.
    """

    cache: Cache
    sources: Mapping[str, manifest.Source]
    models: Mapping[str, manifest.Model]
    pictures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, name: str, feeds: Feeds) -> list[Array]:
        """The outputs of another model of the manifest."""
        return session(str(self.cache.model(self.models[name]))).run(None, feeds)

    def photos(self, name: str, held: bool) -> list[Path]:
        """The files of a collection, of the held-out part or of calibration's.

        They are downloaded when a network asks for them: the others do without their repository.
        """
        collection = self.pictures[name]
        source = self.sources[collection["source"]]
        paths = collection["held_out" if held else "calibration"]
        return [self.cache.file(source, path) for path in paths]


def material(cache: Cache) -> Material:
    """Everything that makers use."""
    sources, models = manifest.read()
    content = yaml.safe_load(manifest.FILE.read_text(encoding="utf-8"))
    return Material(cache, sources, {item.name: item for item in models}, content["pictures"])


@lru_cache(maxsize=8)
def session(path: str) -> Any:
    """A network in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Draw:
    """One sample.

    Attributes:
        material: where it comes from.
        number: of the sample; of the recording where a network has states.
        held: whether it is held out.
        step: number of the frame in the recording.
    """

    material: Material
    number: int
    held: bool
    step: int = 0

    @property
    def rng(self) -> np.random.Generator:
        """Fresh: every input of a sample is drawn from the same recording."""
        return np.random.default_rng([self.number, int(self.held)])

    @property
    def recordings(self) -> sound.Recordings:
        """Speech, kept in the cache."""
        return sound.Recordings(self.material.cache.folder / "speech")

    def wave(self, length: int, rate: int, *, other: int = 0) -> sound.Wave:
        """(length,) float32 in -1..1; `other`: another speaker."""
        rng = np.random.default_rng([self.number, int(self.held), other])
        return self.recordings.draw(rng, self.held, length, rate)

    def with_phrase(self, length: int, rate: int, text: str) -> sound.Wave:
        """The same, with a phrase near the end in every second sample."""
        wave = self.wave(length, rate).copy()
        if text and self.number % 2 == 0:
            rng = self.rng
            spoken = self.recordings.phrase(rng, text, rate)[-length:]
            end = length - int(rng.integers(max(1, min(length - len(spoken), rate // 4))))
            wave *= np.float32(0.1)
            wave[end - len(spoken) : end] += spoken * np.float32(rng.uniform(0.4, 1.2))
        return np.clip(wave, -1, 1)

    def files(self, name: str) -> list[Path]:
        """The photos of a collection."""
        return self.material.photos(name, self.held)


Maker = Callable[..., Array]
MAKERS: Registry[Maker] = Registry("sample maker")
