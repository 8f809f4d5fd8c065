"""The temporary directory of one job, locked as long as the job runs."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hexconv.locks import lock
from hexconv.signals import Deferred

PREFIX = "hexconv-device-"
JUST_MADE = 60.0
"""Seconds for which a directory may be without a lock because its job has only just made it."""

WRITTEN = ("records", "progress")
"""The files that the emulated process writes. It can make no other, so these bound its disk."""


@contextmanager
def workspace() -> Iterator[Path]:
    """A new directory with the files that the job writes; removed at the end.

    Directories that killed runs left are removed first: those that no process holds.
    """
    _sweep(Path(tempfile.gettempdir()))
    made = None
    try:
        with Deferred():
            made = tempfile.TemporaryDirectory(prefix=PREFIX)
        directory = Path(made.name).resolve()
        held = os.open(directory, os.O_RDONLY)
        try:
            lock(held)
            for file in WRITTEN:
                (directory / file).touch()
            yield directory
        finally:
            os.close(held)
    finally:
        with Deferred():
            if made is not None:
                made.cleanup()


def _sweep(folder: Path) -> None:
    """Remove this user's directories of jobs whose process is gone."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                found = os.fstat(descriptor)
                ours = found.st_uid == os.geteuid()
                if ours and time.time() - found.st_mtime > JUST_MADE and lock(descriptor):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
