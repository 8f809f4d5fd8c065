"""The three builds of the Hexagon NN library in MACE (docs/nnlib/shipped-library.md#versions)."""

from __future__ import annotations

from typing import Literal, get_args

from hexconv.errors import ConfigError
from hexconv.names import did_you_mean

LibraryVersion = Literal["v60", "v65", "v66"]
"""v60: SD820, SD835, SD660; v65: SD845, SD670, SD710; v66: SD855, SD865."""

LIBRARIES: tuple[LibraryVersion, ...] = get_args(LibraryVersion)
DEFAULT_LIBRARY: LibraryVersion = "v66"
"""The default version of a conversion, a simulation and a prediction."""


def check_library(name: str) -> LibraryVersion:
    """The version of a name.

    Raises:
        ConfigError: there is no such version.
    """
    if name not in LIBRARIES:
        raise ConfigError(
            f"there is no library version '{name}'",
            hint=f"{did_you_mean(name, LIBRARIES)}use {', '.join(LIBRARIES)}",
        )
    return name


def release(number: int) -> str:
    """The release of a library, from what `hexagon_nn_version` returns: 137729 is 2.26.1."""
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def release_text(number: int) -> str:
    """A release with the number as MACE's log prints it: "2.26.1 (0x21a01 in MACE's log)"."""
    return f"{release(number)} ({number:#x} in MACE's log)"
