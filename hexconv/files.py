"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hexconv.errors import FileError

Chunks = Iterable[bytes | memoryview]


def write_files(files: Mapping[Path, bytes | Chunks]) -> None:
    """Write several files as one: each beside its place first, then all renamed into it.

    Args:
        files: content (bytes, or an iterable of pieces) by path; folders are made as needed.

    Raises:
        FileError: a folder or file cannot be written; what was there before is untouched.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, content in files.items():
            staged.append((_stage(path, content), path))
        for temporary, path in staged:
            temporary.replace(path)
    except OSError as error:
        culprit = error.filename or next(iter(files), "")
        raise FileError(
            "the output cannot be written",
            where=str(culprit),
            why=error.strerror or str(error),
            todo="choose another folder, or make room",
        ) from error
    finally:
        for temporary, _ in staged:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _stage(path: Path, content: bytes | Chunks) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(21, "a folder has this name", str(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            for piece in [content] if isinstance(content, bytes) else content:
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def read_bytes(path: Path, what: str) -> bytes:
    """A file's content.

    Raises:
        FileError: it is missing, a folder, or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(
            f"the {what} cannot be read", where=str(path), why=error.strerror or str(error)
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        FileError: it is missing, a folder, or unreadable.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise FileError("the model file cannot be read", where=str(path), why=why) from error
    return digest.hexdigest()
