"""Building the runner from csrc/ on first use, into the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from hexconv.device.toolchain import zig_command
from hexconv.errors import DeviceError
from hexconv.files import cache_directory

SOURCES = Path(__file__).with_name("csrc")

CPU = "-mcpu=hexagonv66+hvxv66+hvx_length128b"
"""Newer than the library's v60: the emulator needs a CPU that it knows in the file's header."""

WARNINGS = ("-Wall", "-Wextra")
BARE_METAL = ("-target", "hexagon-freestanding-none", CPU, "-O2", *WARNINGS)
LINUX = ("-target", "hexagon-linux-musl", CPU, "-static", "-O2", *WARNINGS)
BARE_METAL_SOURCES = ("varargs.c",)
BUILD_SECONDS = 900
ELF_HEADER = struct.Struct("<4s28xI10xHHxx")
"""32-bit: magic, e_shoff, e_shentsize, e_shnum."""


@cache
def source_key() -> str:
    """A hash of the sources and of how they are compiled: a change of either triggers a build."""
    digest = hashlib.sha256(repr((BARE_METAL, LINUX)).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def runner_path() -> Path:
    """Where the runner built from these sources is, or will be."""
    return cache_directory() / f"runner-{source_key()}"


def runner() -> Path:
    """The runner's program file, built if it does not exist yet (about a minute the first time).

    Raises:
        MissingExtra: if it has to be built and zig is not installed.
        DeviceError: if it cannot be built or stored.
    """
    path = runner_path()
    if not _whole(path):
        _build(path)
    return path


def _whole(path: Path) -> bool:
    """Whether a file is an ELF program up to its section headers, which come last.

    A machine that loses power, or a full disk, can leave an empty or a cut file in the cache.
    """
    try:
        with path.open("rb") as file:
            header = file.read(ELF_HEADER.size)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    if len(header) < ELF_HEADER.size:
        return False
    magic, sections, each, count = ELF_HEADER.unpack(header)
    return bool(magic == b"\x7fELF" and sections + each * count <= size)


def _build(path: Path) -> None:
    """Compile in a separate directory, then move the complete file to its place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=path.parent) as directory:
            work = Path(directory)
            compile_runner(work / "runner", work)
            (work / "runner").replace(path)
    except OSError as error:
        raise DeviceError(
            "the runner cannot be built into the cache directory",
            where=str(path.parent),
            why=str(error),
            hint="free some space, or set XDG_CACHE_HOME to a directory that can be written",
        ) from error


def compile_runner(target: Path, work: Path) -> None:
    """Compile csrc/ to `target`, with intermediate files in `work`.

    Raises:
        DeviceError: if the compiler fails.
    """
    bare = [str(SOURCES / name) for name in BARE_METAL_SOURCES]
    rest = [
        str(path)
        for path in sorted(SOURCES.iterdir())
        if path.suffix in (".c", ".S") and path.name not in BARE_METAL_SOURCES
    ]
    varargs = str(work / "varargs.o")
    run_zig("cc", [*BARE_METAL, "-c", *bare, "-o", varargs], work)
    run_zig("cc", [*LINUX, *rest, varargs, "-o", str(target)], work)


def run_zig(tool: str, arguments: list[str], work: Path) -> None:
    """Run one of zig's tools in `work`.

    Raises:
        MissingExtra: if zig is not installed.
        DeviceError: if it fails or does not end.
    """
    command = [*zig_command(tool), *arguments]
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"zig did not finish within {BUILD_SECONDS} s", hint="try again on an idle machine"
        ) from error
    if done.returncode != 0:
        raise _compile_error(done.stderr.decode(errors="replace"))


def _compile_error(log: str) -> DeviceError:
    """What zig's output says. It keeps a file open for each source of the C library, some 1,900."""
    if "FdQuotaExceeded" in log:
        return DeviceError(
            "zig cannot compile the runner: too few files may be open at once",
            hint="ulimit -n 4096; in a container: docker run --ulimit nofile=4096 ...",
        )
    lines = log.strip().splitlines()
    return DeviceError(
        "zig cannot compile the runner",
        why="\n".join(lines[-12:]),
        hint="pip install --upgrade ziglang",
    )
