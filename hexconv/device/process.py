"""Run one job in the emulator: a temporary directory, limits, a timeout, full cleanup."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

from hexconv.argument_types import check_types
from hexconv.device.build import runner
from hexconv.device.elf import LibraryFile
from hexconv.device.job import JobWriter, Slot
from hexconv.device.records import Progress, RunRecords, read_records
from hexconv.device.toolchain import find_qemu
from hexconv.device.workspace import WRITTEN, workspace
from hexconv.errors import DeviceError
from hexconv.signals import Deferred

Watch = Callable[[Progress], None]
GIB = 1 << 30
JAIL = Path(__file__).with_name("jail.py")
EMULATOR_BYTES = 3 * GIB
"""Address space of the emulator itself, its code cache and thread stacks, beside the guest's."""

MOST_MEMORY = 0xFFFF0000
"""The largest guest address space that qemu's `-R` accepts for a 32-bit CPU."""

LOADER_PATHS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
PROC_PATHS = ("/proc/self", "/proc/sys/vm/mmap_min_addr", "/dev/null", "/dev/urandom")
TICK = 0.2
"""Seconds between two looks at where a job stands."""

STDERR_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """The resource limits of a job.

    Args:
        seconds: wall clock; four times as much processor time, over all threads.
        memory: bytes of the emulated address space, 4 GiB at most.
        file_bytes: size of the largest file that it may write; where Landlock holds it writes
            three (workspace.WRITTEN and its log), and can make no other.
    """

    seconds: float = 600.0
    memory: int = 4 * GIB
    file_bytes: int = 8 * GIB

    def __post_init__(self) -> None:
        """The types of what is given are checked here."""
        check_types({item.name: getattr(self, item.name) for item in fields(self)})

    def rlimits(self) -> dict[str, int]:
        """The limits in the form that the kernel takes."""
        return {
            "RLIMIT_AS": self.memory + EMULATOR_BYTES,
            "RLIMIT_CPU": int(self.seconds * 4) + 10,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        }


@dataclass(frozen=True)
class ProcessOutcome:
    """How a job ended.

    `code` is the process's exit code (128 + n for signal n), None when it ran out of time;
    `contained` lists the isolation that was possible on this machine.
    """

    records: RunRecords
    code: int | None
    progress: Progress
    stderr: str
    contained: dict[str, bool] = field(default_factory=dict)


def run_job(
    library: LibraryFile,
    write: Callable[[JobWriter], None],
    slots: Sequence[Slot],
    limits: Limits,
    watch: Watch | None = None,
) -> ProcessOutcome:
    """Run the library on the job that `write` writes.

    Args:
        library: the checked library; its counting form is loaded if a run of the job counts.
        write: writes the records of the job.
        slots: the outputs of each run.
        limits: its resource limits.
        watch: called with where it stands, a few times a second.

    Raises:
        DeviceError: if the emulator cannot be started, or there is no space for its files.
        MissingExtra: if the runner has to be built first and zig is missing.
    """
    qemu, program = find_qemu(), runner()
    try:
        with workspace() as directory:
            (directory / "progress").write_bytes(bytes(4096))
            shutil.copy(program, directory / "runner")
            with (directory / "job").open("wb") as file:
                job = JobWriter(file)
                write(job)
            (directory / "library.so").write_bytes(
                library.counting if job.counts else library.plain
            )
            return _run_in(directory, qemu, slots, limits, watch)
    except OSError as error:
        raise DeviceError(
            "the job's files cannot be written",
            where=tempfile.gettempdir(),
            why=str(error),
            hint="free some space, or set TMPDIR to a directory that has space",
        ) from error


def _spec(directory: Path, qemu: Path, limits: Limits) -> str:
    command = [str(qemu), "-R", hex(min(limits.memory, MOST_MEMORY)), "./runner"]
    files = ["./library.so", "./job", "./records", "./progress"]
    spec = {
        "command": command + files,
        "directory": str(directory),
        "write": list(WRITTEN),
        "read": [str(qemu), *LOADER_PATHS, *PROC_PATHS],
        "limits": limits.rlimits(),
        "report": str(directory / "contained"),
    }
    return json.dumps(spec)


def _run_in(
    directory: Path, qemu: Path, slots: Sequence[Slot], limits: Limits, watch: Watch | None
) -> ProcessOutcome:
    command = [sys.executable, "-I", "-S", str(JAIL), _spec(directory, qemu, limits)]
    with (directory / "stderr").open("wb") as errors:
        code = _run(
            command, errors, limits.seconds, watch and (lambda: watch(_progress(directory)))
        )
    return ProcessOutcome(
        records=read_records(_read(directory / "records"), slots),
        code=code,
        progress=_progress(directory),
        stderr=_read(directory / "stderr", STDERR_BYTES).decode(errors="replace"),
        contained=_contained(_read(directory / "contained")),
    )


def _progress(directory: Path) -> Progress:
    return Progress.read(_read(directory / "progress"))


def _run(
    command: list[str], output: BinaryIO, seconds: float, tick: Callable[[], None] | None
) -> int | None:
    """The exit code, or None after `seconds`; in any case, even Ctrl-C, no process is left.

    The process is not reaped before its group is killed, so the group's number is still its own.
    """
    process = None
    try:
        with Deferred():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        ended = os.pidfd_open(process.pid)
        try:
            in_time = _ends(ended, seconds, tick)
        finally:
            os.close(ended)
    finally:
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    return code if in_time else None


def _ends(process: int, seconds: float, tick: Callable[[], None] | None) -> bool:
    """Whether a process ends in time; `tick` is called while it runs."""
    end = time.monotonic() + seconds
    while True:
        left = max(0.0, end - time.monotonic())
        if select.select([process], [], [], left if tick is None else min(left, TICK))[0]:
            return True
        if not left:
            return False
        if tick is not None:
            tick()


def _read(path: Path, most: int = -1) -> bytes:
    """The end of a file that the emulated process may have modified.

    Anything else that it left there (a link, a pipe) is treated as empty.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        if most >= 0:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read()


def _contained(report: bytes) -> dict[str, bool]:
    """The jail's report about itself, written before the library ran."""
    try:
        told = json.loads(report)
    except ValueError:
        return {}
    return {str(key): bool(value) for key, value in told.items()} if isinstance(told, dict) else {}
