"""Atomic writes of one or several files; checksums of model files; the folder of builds."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import signal
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hexconv.errors import FileError, system_reason
from hexconv.locks import lock
from hexconv.paths import NOT_REGULAR, check_is_file, exists, home, is_file, is_folder
from hexconv.signals import ENDING

if TYPE_CHECKING:
    import onnx

TEMPORARY = ".hexconv-"
"""How the names begin of files that are being written."""

NO_WAIT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened that may be a link or a pipe."""

JOURNAL = ".moves"
"""How the name ends of the temporary file that lists the renames of a folder, as JSON."""

Chunks = Iterable[bytes | memoryview]


def write_files(files: Mapping[Path, bytes | Chunks]) -> None:
    """Write several files atomically: each under a temporary name first, then all are renamed.

    A kill before the renames leaves the old files. From then on a journal in the folder lists
    them, and who reads the set (`complete`) or writes to the folder carries them out. The first
    file is renamed last: of a model that is its `.pb`, which holds the SHA-256 of its `.data`.
    No file is missing at any time, and of two processes that write the same files one wins whole.

    Args:
        files: content (bytes, or an iterable of chunks) by path; folders are created as needed.

    Raises:
        FileError: a folder or file cannot be written; what was there before is untouched.
    """
    try:
        with ExitStack() as stack:  # closing a file writes what its buffer has, and may fail too
            staged = [(_stage(path, content, stack), path) for path, content in files.items()]
            with _alone_in({path.parent for path in files}), _uninterrupted():
                for folder in {path.parent for path in files}:
                    _sweep(folder)
                _rename(staged[::-1], _journals(staged[::-1], stack))
    except OSError as error:
        culprit = error.filename or next(iter(files), "")
        raise FileError(
            "the output cannot be written",
            where=str(culprit),
            why=system_reason(error),
            hint="choose another folder, or free some space",
        ) from error


def check_folder(folder: Path) -> None:
    """Raise for a folder that cannot be written, before the work and not after it.

    Raises:
        FileError: it is a file, has a name that none can have, or may not be written.
    """
    there = folder
    while not exists(there) and there != there.parent:
        _check_name(there)
        there = there.parent
    if not is_folder(there):
        why = "it is a file" if there == folder else f"'{there}' is a file"
        raise FileError("the output folder cannot be made", where=str(folder), why=why)
    if not os.access(there, os.W_OK | os.X_OK):
        raise FileError(
            "the output folder cannot be written",
            where=str(folder),
            why=f"no permission to write '{there}'",
            hint="choose another folder",
        )


def check_file(path: Path) -> None:
    """Raise for a file that cannot be written, before the work and not after it.

    Raises:
        FileError: a folder or device has its name, or its folder cannot be written.
    """
    check_folder(path.parent)
    _check_name(path)
    try:
        _check_replaceable(path)
    except OSError as error:
        why = system_reason(error)
        raise FileError("the output cannot be written", where=str(path), why=why) from error


def _check_name(path: Path) -> None:
    """Raise for a path that no file can have: a name that is too long, links in a circle."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        why = system_reason(error)
        raise FileError("the output cannot be written", where=str(path), why=why) from error


def _check_replaceable(path: Path) -> None:
    """Raise for what a rename may not replace: a folder, and a device (root could)."""
    if is_folder(path):
        raise IsADirectoryError(errno.EISDIR, "a folder has this name", str(path))
    if exists(path) and not is_file(path):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))


def complete(folder: Path) -> None:
    """Carry out the renames of a set of files whose writer was killed between two of them.

    A folder that cannot be written stays as it is; `load` finds that the files do not fit.
    """
    with suppress(OSError):
        if any(folder.glob(f"{TEMPORARY}*{JOURNAL}")):
            with _alone_in({folder}):
                _sweep(folder)


def _journals(staged: Sequence[tuple[Path, Path]], stack: ExitStack) -> list[Path]:
    """A journal in each folder that gets several files."""
    made = []
    for folder in {path.parent for _, path in staged}:
        moves = [(old.name, new.name) for old, new in staged if new.parent == folder]
        if len(moves) > 1:
            journal, stream = _temporary(folder, stack, JOURNAL)
            _write(stream, json.dumps(moves).encode())
            made.append(journal)
    return made


def _rename(staged: Sequence[tuple[Path, Path]], journals: Sequence[Path]) -> None:
    """Rename all files; if one fails, restore the previous ones."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for temporary, path in staged:
            old = temporary.with_name(temporary.name + ".old") if path.exists() else None
            if old is not None:
                _keep(path, old)
            done.append((path, old))
            temporary.replace(path)
    except OSError:
        for journal in journals:
            _remove(journal)
        for path, old in reversed(done):
            with suppress(OSError):
                path.unlink(missing_ok=True) if old is None else old.replace(path)
        raise
    finally:
        for _, old in done:
            if old is not None:
                with suppress(OSError):
                    old.unlink()


def _keep(path: Path, old: Path) -> None:
    """A second name of a file, or a copy where the file system has none: it is never missing."""
    try:
        os.link(path, old, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, old)


@contextmanager
def _alone_in(folders: Iterable[Path]) -> Iterator[None]:
    """Wait until no other process renames files in these folders; the kernel ends it with us."""
    opened: list[int] = []
    try:
        for folder in sorted(folders):
            with suppress(PermissionError):  # Windows opens no folder
                opened.append(os.open(folder, os.O_RDONLY))
                lock(opened[-1], wait=True)
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Carry out the renames that killed runs left, and remove their other temporary files."""
    for journal in filter(_is_left, folder.glob(f"{TEMPORARY}*{JOURNAL}")):
        _carry_out(journal)
        journal.unlink()
    for path in filter(_is_left, folder.glob(f"{TEMPORARY}*")):
        _remove(path)


def _is_left(path: Path) -> bool:
    """Whether no process holds a temporary file; a pipe of this name is none of ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_WAIT)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor)
    finally:
        os.close(descriptor)


def _carry_out(journal: Path) -> None:
    """Carry out the renames that are left of a journal; one that was cut short began none."""
    try:
        moves = [(str(old), str(new)) for old, new in parse_json(journal.read_bytes())]
    except (TypeError, ValueError):
        return
    for old, new in moves:
        plain = all(Path(name).name == name for name in (old, new))
        if plain and old.startswith(TEMPORARY) and (journal.parent / old).is_file():
            (journal.parent / old).replace(journal.parent / new)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C and requests to end: half of the new beside half of the old files is a loss."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in handlers.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
        for first in received[:1]:
            signal.raise_signal(first)


def _stage(path: Path, content: bytes | Chunks, stack: ExitStack) -> Path:
    """Write a temporary file beside `path`, which `stack` removes if it is still there at the end.

    It is locked until then: an unlocked one is what a killed run left.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "the path has a null character", str(path))
    _make(path.parent, stack)
    _check_replaceable(path)
    with _alone_in({path.parent}):  # no other run sees it before it is locked
        temporary, stream = _temporary(path.parent, stack)
    _write(stream, content)
    return temporary


def _make(folder: Path, stack: ExitStack) -> None:
    """Make a folder and those above it, which `stack` removes if they are empty at the end."""
    missing = [one for one in (folder, *folder.parents) if not exists(one)]
    for made in reversed(missing):  # a full disk may have room for the first of them
        stack.callback(_remove_empty, made)
    folder.mkdir(parents=True, exist_ok=True)


def _temporary(folder: Path, stack: ExitStack, suffix: str = "") -> tuple[Path, BinaryIO]:
    """A new file, locked and open."""
    temporary = folder / f"{TEMPORARY}{secrets.token_hex(8)}{suffix}"
    stream = stack.enter_context(temporary.open("xb"))  # the umask gives it its mode
    stack.callback(_remove, temporary)
    lock(stream.fileno())
    return temporary, stream


def _write(stream: BinaryIO, content: bytes | Chunks) -> None:
    for piece in [content] if isinstance(content, bytes) else content:
        stream.write(piece)
    stream.flush()
    os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def cache_directory() -> Path:
    """Where built programs are kept: `$XDG_CACHE_HOME/hexconv`, or `~/.cache/hexconv`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home() / ".cache") / "hexconv"


def read_bytes(path: Path, what: str) -> bytes:
    """A file's content.

    Raises:
        FileError: it is missing, a folder, a device, or unreadable.
    """
    try:
        check_is_file(path)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = system_reason(error)
        raise FileError(f"the {what} cannot be read", where=str(path), why=why) from error


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
        check_is_file(path)
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except (OSError, ValueError) as error:
        why = system_reason(error)
        raise FileError("the model file cannot be read", where=str(path), why=why) from error
    return digest.hexdigest()


def sha256(source: str | Path | onnx.ModelProto) -> str:
    """SHA-256 of the model file, in hexadecimal; of the serialized proto otherwise."""
    if isinstance(source, (str, Path)):
        return sha256_of(Path(source))
    return hashlib.sha256(source.SerializeToString(deterministic=True)).hexdigest()
