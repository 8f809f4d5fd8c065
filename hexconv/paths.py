"""What is where a path leads, for paths that a user or a file gives: a path that none can have too.

`Path.exists` and its like raise on a name that is too long, or in a folder that may not be looked
into (before Python 3.12).
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path


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


def _mode(path: str | Path) -> int:
    """Type and permissions of a file; 0 where there is none."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0
