"""What is where a path leads, for paths that a user or a file gives: a path that none can have too.

`Path.exists` and its like raise on a name that is too long, or in a folder that may not be looked
into (before Python 3.12).
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path

INFLATED = 1 << 26
"""Bytes that any compressed file may inflate to: masks and silence have next to no bytes."""

MOST_INFLATED = 100
"""Times that the bytes of a larger one may grow."""


def exists(path: str | Path) -> bool:
    """Whether something is there."""
    return _mode(path) != 0


def is_file(path: str | Path) -> bool:
    """Whether a regular file is there, or a link to one."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there, or a link to one."""
    return stat.S_ISDIR(_mode(path))


def check_has_end(path: str | Path) -> None:
    """Raise for a device: reading /dev/zero to its end fills the memory.

    Raises:
        OSError: it is one; or nothing is there.
        ValueError: the path has a null character.
    """
    mode = Path(path).stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "it is a device, not a file", str(path))


def check_inflated(size: int, stored: int) -> None:
    """Raise for compressed data that no real numbers are: a few bytes would fill the memory.

    Args:
        size: bytes that it inflates to, as its own directory or header says.
        stored: bytes of its file.

    Raises:
        ValueError: it inflates too much.
    """
    if size > max(INFLATED, MOST_INFLATED * stored):
        raise ValueError(f"{stored} bytes inflate to {size}, more than numbers do")


def _mode(path: str | Path) -> int:
    """Type and permissions of a file; 0 where there is none."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0
