"""Exclusive locks on open files and folders, which the kernel ends with their process."""

from __future__ import annotations

try:
    import fcntl
except ModuleNotFoundError:  # Windows: what killed runs left stays there
    AVAILABLE = False
else:
    AVAILABLE = True


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder.

    Args:
        descriptor: of the open file.
        wait: until another process ends its lock.

    Returns:
        Whether it is locked now: False if another process holds it, or there are no locks.
    """
    if not AVAILABLE:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
