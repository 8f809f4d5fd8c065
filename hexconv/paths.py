"""What is where a path leads, for paths that a user or a file gives: a path that none can have too.

`Path.exists` and its like raise on a name that is too long, or in a folder that may not be looked
into (before Python 3.12).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

INFLATED = 1 << 26
"""Bytes that any compressed file may inflate to: masks and silence have next to no bytes."""

MOST_INFLATED = 100
"""Times that the bytes of a larger one may grow."""

NOT_REGULAR = "it is not a regular file"
"""Why a device, a pipe or a socket is neither read nor replaced."""


def exists(path: str | Path) -> bool:
    """Whether something is there."""
    return _mode(path) != 0


def is_file(path: str | Path) -> bool:
    """Whether a regular file is there, or a link to one."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there, or a link to one."""
    return stat.S_ISDIR(_mode(path))


def home() -> Path:
    """The user's home directory.

    Where there is none, as for a number without a user in a container, a path that nothing is at
    and nothing can be made at.
    """
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def check_is_file(path: str | Path) -> None:
    """Raise for what is not a regular file: /dev/zero has no end, a pipe waits for a writer.

    Raises:
        OSError: it is a folder, a device, a pipe or a socket; or nothing is there.
        ValueError: the path has a null character.
    """
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))


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
