"""Data for a model's inputs, from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Graph, Interface
from hexconv.numpy_files import read_npy
from hexconv.paths import exists, is_file
from hexconv.raw_tensors import SUFFIXES, read_raw


def read_feeds(
    graph: Graph, given: Sequence[str], wanted: Sequence[str] | None = None
) -> dict[str, Array]:
    """Feeds from `NAME=FILE`, or `FILE` alone for a model of one input: .npy, or raw .bin.

    Args:
        graph: of the model.
        given: from the command line.
        wanted: names of the inputs to read; all of them by default.

    Raises:
        ConfigError: if a file cannot be assigned to an input, or an input has none.
        FileError: if a file is no array.
        RangeError: if a raw file has another size than the input.
    """
    items = {interface.name: interface for interface in graph.inputs}
    names = list(items if wanted is None else wanted)
    feeds: dict[str, Array] = {}
    for text in given:
        name, file = _split(text, names)
        if name in feeds:
            raise ConfigError(f"input '{name}' is given twice")
        feeds[name] = _load(Path(file), items[name])
    missing = [name for name in names if name not in feeds]
    if missing:
        raise ConfigError(
            f"there is no data for input '{missing[0]}'", hint=f"--input {missing[0]}=FILE.npy"
        )
    return feeds


def _split(text: str, names: Sequence[str]) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if equals and name in names:
        return name, file
    if len(names) == 1 and (not equals or exists(text)):
        return names[0], text
    raise ConfigError(
        f"--input {text} names no input of the model",
        hint=f"NAME=FILE.npy, with NAME one of {', '.join(names)}",
    )


def _load(path: Path, item: Interface) -> Array:
    if path.suffix in SUFFIXES and is_file(path):
        return read_raw(path, item.shape, item.data_format)
    return read_npy(path, "the input")


def synthetic_feeds(graph: Graph) -> dict[str, Array]:
    """Reproducible data for counting: a node's cost hardly depends on the values.

    Each input is uniform over its calibrated range, or over -1 to 1 if it has none.
    """
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for interface in graph.inputs:
        low, high = interface.range if interface.range[0] < interface.range[1] else (-1.0, 1.0)
        feeds[interface.name] = random.uniform(low, high, interface.shape).astype(np.float32)
    return feeds
