"""The data of a graph's inputs, checked before simulator and library read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hexconv.arrays import NOT_IN_FLOAT32, Array, are_numbers, not_in_float32
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Interface

Feeds = Mapping[str, Any]
"""Arrays by input name."""


def checked_feeds(inputs: Sequence[Interface], feeds: Feeds) -> dict[str, Array]:
    """The data of each input as a finite float32 array of its shape.

    Raises:
        ConfigError: an input has no data, or data that is not so; a name is no input's.
    """
    _check_names(inputs, feeds)
    return {interface.name: _checked(interface, feeds[interface.name]) for interface in inputs}


def _check_names(inputs: Sequence[Interface], feeds: Feeds) -> None:
    """Check that there is data for every input, and nothing else."""
    if not isinstance(feeds, Mapping):
        raise ConfigError(
            f"feeds have to be a dict of arrays by input name, not {type(feeds).__name__}"
        )
    names = [interface.name for interface in inputs]
    known = f"the model's inputs are {', '.join(map(repr, names))}"
    for name in feeds:
        if name not in names:
            raise ConfigError(f"the model has no input {name!r}", hint=known)
    for name in names:
        if name not in feeds:
            raise ConfigError(f"there is no data for input {name!r}", hint=known)


def _checked(interface: Interface, value: Any) -> Array:
    """A feed as a finite float32 array of the input's shape."""
    who = f"input {interface.name!r}"
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ConfigError(f"{who} is not an array", why=str(error)) from error
    if not are_numbers(array.dtype):
        raise ConfigError(f"{who} has type {array.dtype}; float32 is expected")
    if array.shape != tuple(interface.shape):
        raise ConfigError(
            f"{who} has shape {list(array.shape)}; the model expects {list(interface.shape)}"
        )
    if (lost := not_in_float32(array)) is not None:
        raise ConfigError(f"{who} contains {lost}", why=NOT_IN_FLOAT32)
    with np.errstate(over="ignore"):
        array = np.asarray(array, np.float32, order="C")
    if not np.isfinite(array).all():
        bad = "NaN" if np.isnan(array).any() else "infinity"
        raise ConfigError(f"{who} contains {bad}", why="the DSP cannot quantize it")
    return array
