"""Atomic writes of one or several files; checksums of model files; the folder of builds."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.errors import FileError

if TYPE_CHECKING:
    import onnx

Chunks = Iterable[bytes | memoryview]


def write_files(files: Mapping[Path, bytes | Chunks]) -> None:
    """Write several files atomically: each under a temporary name first, then all are renamed.

    Args:
        files: content (bytes, or an iterable of chunks) by path; folders are created as needed.

    Raises:
        FileError: a folder or file cannot be written; what was there before is untouched.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, content in files.items():
            staged.append((_stage(path, content), path))
        with _uninterrupted():
            _rename(staged)
    except OSError as error:
        culprit = error.filename or next(iter(files), "")
        raise FileError(
            "the output cannot be written",
            where=str(culprit),
            why=error.strerror or str(error),
            hint="choose another folder, or free some space",
        ) from error
    finally:
        for temporary, _ in staged:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raise for a folder that cannot be written, before the work and not after it.

    Raises:
        FileError: it is a file, or may not be written.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        why = "it is a file" if there == folder else f"'{there}' is a file"
        raise FileError("the output folder cannot be made", where=str(folder), why=why)
    if not os.access(there, os.W_OK | os.X_OK):
        raise FileError(
            "the output folder cannot be written",
            where=str(folder),
            why=f"no permission to write '{there}'",
            hint="choose another folder with -o",
        )


def _rename(staged: Sequence[tuple[Path, Path]]) -> None:
    """Rename all files; if one fails, restore the previous ones."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for temporary, path in staged:
            old = temporary.with_name(temporary.name + ".old") if path.exists() else None
            if old is not None:
                path.rename(old)
            done.append((path, old))
            temporary.rename(path)
    except OSError:
        for path, old in reversed(done):
            with suppress(OSError):
                path.unlink(missing_ok=True) if old is None else old.replace(path)
        raise
    for _, old in done:
        if old is not None:
            with suppress(OSError):
                old.unlink()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C for a moment: half of the new beside half of the old files is a loss."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


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


def cache_directory() -> Path:
    """Where built programs are kept: `$XDG_CACHE_HOME/hexconv`, or `~/.cache/hexconv`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hexconv"


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


def parse_json(text: str | bytes) -> Any:
    """The data of a JSON text.

    Raises:
        ValueError: it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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


def sha256(source: str | Path | onnx.ModelProto) -> str:
    """SHA-256 of the model file, in hexadecimal; of the serialized proto otherwise."""
    if isinstance(source, (str, Path)):
        return sha256_of(Path(source))
    return hashlib.sha256(source.SerializeToString(deterministic=True)).hexdigest()
