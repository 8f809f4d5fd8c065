"""Failures in the library are reported with the node's name, and leave no files or processes."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from hexconv.device import Library, Limits, build, process
from hexconv.device.elf import checked_library
from hexconv.device.job import JobWriter
from hexconv.device.process import ProcessOutcome
from hexconv.device.records import Progress, RunRecords, RunStage
from hexconv.device.session import Session, failure
from hexconv.device.workspace import PREFIX
from hexconv.errors import DeviceError, FileError, MissingExtra
from tests.device.fake_library import beside, graph_of, values

NEG = "QuantizedNeg_8"
MIB = 1 << 20


def running_in(directory: str) -> list[str]:
    """Command lines of processes that name something in `directory`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            where = str((entry / "cwd").readlink()) if command else ""
        except OSError:
            continue
        if directory.encode() in command or where.startswith(directory):
            found.append(command.decode(errors="replace"))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Each test runs in its own temporary directory, which must end up empty and idle."""
    place = tmp_path / "jobs"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield
    assert list(place.iterdir()) == []
    assert running_in(str(place)) == []


@pytest.fixture
def brief(fake_path: Path) -> Library:
    return Library(fake_path, Limits(seconds=2))


@pytest.mark.parametrize(
    ("op", "doing", "why"),
    [
        ("Reject", "preparing the graph", "only supported on Sundays"),
        ("Fail", "executing the graph", r"failed on node id='/layer3/Fail' \(Fail\) err=-1"),
        ("Crash", "SIGSEGV.*executing the graph", "called from hexagon_nn_execute_new"),
        ("CrashInPrepare", "SIGSEGV.*preparing the graph", "called from hexagon_nn_prepare"),
        ("NoSuchOp", "appending a node", ""),
    ],
)
def test_the_node_to_blame_is_named(fake: Library, op: str, doing: str, why: str) -> None:
    with pytest.raises(DeviceError, match=doing) as caught:
        fake.run(graph_of(NEG, op, NEG), {"x": values()})
    assert caught.value.where == f"'/layer3/{op}' ({op})"
    assert re.search(why, caught.value.why)
    assert "0x500" not in str(caught.value)


@pytest.mark.parametrize("op", ["Hang", "Spin"])
def test_a_node_that_never_ends_is_stopped_and_named(brief: Library, op: str) -> None:
    start = time.monotonic()
    with pytest.raises(DeviceError, match="did not finish within 2 s") as caught:
        brief.run(graph_of(NEG, op), {"x": values()})
    assert caught.value.where == f"'/layer3/{op}' ({op})"
    assert time.monotonic() - start < 20


def test_memory_is_limited(fake_path: Path) -> None:
    library = Library(fake_path, Limits(seconds=60, memory=256 * MIB))
    with pytest.raises(DeviceError, match="out of memory"):
        library.run(graph_of("Eat"), {"x": values()})


def test_output_is_limited(fake_path: Path) -> None:
    library = Library(fake_path, Limits(seconds=60, file_bytes=2 * MIB))
    with pytest.raises(DeviceError, match="/layer2/Flood"):
        library.run(graph_of("Flood"), {"x": values()})


def test_a_hostile_library_reaches_no_file_and_no_network(fake: Library) -> None:
    outside = Path("/tmp/hexconv-escaped")
    outside.unlink(missing_ok=True)
    contained = fake.session.ask(JobWriter.list_ops).contained
    (reached,) = fake.run_raw(beside("Escape"), [])
    allowed = (0 if contained["files"] else 3) | (0 if contained["network"] else 4)
    assert int(reached.flat[0]) & ~allowed == 0
    assert contained["files"] is not outside.exists()


def test_a_hostile_library_reaches_no_socket_and_changes_no_mode(fake: Library) -> None:
    users, listening = Path("/tmp/hexconv-users-file"), Path("/tmp/hexconv-users-socket")
    for path in (users, listening):
        path.unlink(missing_ok=True)
    users.touch(mode=0o600)
    os.utime(users, (1, 1))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        server.listen()
        contained = fake.session.ask(JobWriter.list_ops).contained
        (reached,) = fake.run_raw(beside("Escape"), [])
    found = users.stat()
    users.unlink()
    listening.unlink()
    if not contained["calls"]:
        pytest.skip("no seccomp on this machine")
    assert int(reached.flat[0]) & (8 | 16 | 32) == 0
    assert (found.st_mode & 0o777, found.st_mtime) == (0o600, 1)


def test_a_hostile_library_makes_no_file_of_its_own(fake: Library) -> None:
    """The limit on a file is a limit on the disk: it writes those that it was given."""
    contained = fake.session.ask(JobWriter.list_ops).contained
    (reached,) = fake.run_raw(beside("Escape"), [])
    assert contained["files"] is not bool(int(reached.flat[0]) & 64)


def test_what_a_killed_run_left_is_removed_by_the_next_one(fake: Library) -> None:
    place = Path(tempfile.gettempdir())
    left, held, new = (place / f"{PREFIX}{name}" for name in ("left", "held", "new"))
    for path in (left, held, new):
        path.mkdir()
        (path / "library.so").touch()
    for path in (left, held):
        os.utime(path, (1, 1))
    running = os.open(held, os.O_RDONLY)
    fcntl.flock(running, fcntl.LOCK_EX)
    fake.ops()
    assert sorted(path.name for path in place.iterdir()) == [held.name, new.name]
    os.close(running)
    os.utime(new, (1, 1))
    fake.ops()


@pytest.mark.parametrize("size", [0, 20, 5000])
def test_a_runner_that_is_cut_short_is_built_again(
    fake: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    whole = build.runner().read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build.runner_path().parent.mkdir(parents=True)
    build.runner_path().write_bytes(whole[:size])
    monkeypatch.setattr(
        build, "compile_runner", lambda target, work: bool(target.write_bytes(whole))
    )
    assert build.runner().read_bytes() == whole


def test_a_child_process_of_the_library_ends_with_it(fake: Library) -> None:
    fake.run_raw(beside("Stay"), [])  # nothing_is_left looks for it


def test_ctrl_c_stops_the_emulator_too(fake_path: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from tests.device.fake_library import graph_of, values\n"
        "from hexconv.device import Library\n"
        "Library(sys.argv[1]).run(graph_of('Hang'), {'x': values()})\n"
    )
    place = tmp_path / "jobs"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(fake_path)],
        env={**os.environ, "TMPDIR": str(place)},
        stderr=subprocess.DEVNULL,
        # A shell's background job ignores SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(200):
        if any("runner" in command for command in running_in(str(place))):
            break
        time.sleep(0.05)
    process.send_signal(2)
    assert process.wait(20) != 0


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (b"WHAT\0\0\0\0", "unknown record"),
        (b"NODE\xff\xff\xff\x7f", "longer than the file"),
        (b"NODE", "cut short"),
        (b"CNST\x04\0\0\0\1\0\0\0", "too short"),
        (b"CNST\x18\0\0\0" + bytes(20) + b"\xff\xff\xff\xff", "too short"),
        (b"NODE\x14\0\0\0" + bytes(8) + b"\xff" * 8 + b"abcd", "too short"),
        (b"OPTN\x08\0\0\0" + bytes(4) + b"abcd", "no end"),
        (b"OUTP\x0c\0\0\0" + b"\1\0\0\0\4\0\0\0abcd", "contains more than it can"),
    ],
)
def test_a_broken_job_file_is_rejected(fake: Library, records: bytes, why: str) -> None:
    with pytest.raises(DeviceError, match=why):
        fake.session.ask(lambda job: job._file.write(records))


def test_a_damaged_library_ends_in_an_error_or_works(fake_path: Path) -> None:
    """Bytes of headers, symbols and relocations overwritten, the same ones in every run."""
    data = fake_path.read_bytes()
    random = np.random.default_rng(7)
    for _ in range(12):
        damaged = bytearray(data)
        for at in random.integers(52, 0x1300, 6):
            damaged[at] = random.integers(256)
        try:
            library = checked_library(fake_path, bytes(damaged))
            Session(library, Limits(seconds=5)).ask(JobWriter.list_ops)
        except DeviceError as error:
            assert error.what


def test_without_the_emulator_the_user_learns_what_to_install(
    fake: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEXCONV_QEMU", "qemu-that-is-nowhere")
    with pytest.raises(DeviceError, match="apt-get install qemu-user"):
        fake.ops()


def test_another_program_is_no_emulator(fake: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEXCONV_QEMU", sys.executable)
    with pytest.raises(DeviceError, match="not qemu-hexagon") as caught:
        fake.ops()
    assert "it printed 'Python 3" in caught.value.why and "HEXCONV_QEMU" in caught.value.hint


@pytest.mark.parametrize(("body", "why"), [("exit 3", "exit code 3"), ("echo", "printed ''")])
def test_an_emulator_that_does_not_start_is_named(
    fake: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, why: str
) -> None:
    monkeypatch.setenv("HEXCONV_QEMU", script(tmp_path, body))
    with pytest.raises(DeviceError, match="not qemu-hexagon") as caught:
        fake.ops()
    assert why in caught.value.why and str(tmp_path) in caught.value.where


def test_a_script_around_the_emulator_is_rejected_in_one_line(
    fake: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its interpreter is out of reach in the emulator's container, where there is one."""
    monkeypatch.setenv(
        "HEXCONV_QEMU", script(tmp_path, f'exec {shutil.which("qemu-hexagon")} "$@"')
    )
    try:
        fake.ops()
    except DeviceError as error:
        assert "cannot be started as the emulator" in error.why and "\n" not in error.why.strip()


def script(folder: Path, body: str) -> str:
    path = folder / "qemu-hexagon"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_without_zig_the_user_learns_what_to_install(
    fake: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"hexconv-mace\[device\]"):
        fake.ops()
    assert list((tmp_path / "cache" / "hexconv").iterdir()) == []


def test_a_limit_of_open_files_that_stops_the_compiler_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = "usleep.c:1:1: note: failed to spawn: ProcessFdQuotaExceeded"
    stopped = [sys.executable, "-c", f"import sys; sys.exit({said!r})"]
    monkeypatch.setattr(build, "zig_command", lambda tool: stopped)
    with pytest.raises(DeviceError, match=r"too few files may be open(.|\n)*ulimit -n"):
        build.run_zig("cc", [], tmp_path)


def test_a_failed_build_leaves_nothing_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fail(target: Path, work: Path) -> None:
        (work / "runner").write_bytes(b"half of it")
        raise DeviceError("the compiler fell over")

    monkeypatch.setattr(build, "compile_runner", fail)
    with pytest.raises(DeviceError, match="fell over"):
        build.runner()
    assert list((tmp_path / "cache" / "hexconv").iterdir()) == []


def test_an_unwritable_cache_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="XDG_CACHE_HOME"):
        build.runner()


def test_a_full_disk_is_an_error_and_no_traceback(
    fake: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process.shutil, "copy", full)
    with pytest.raises(DeviceError, match="No space left"):
        fake.ops()


def test_sources_decide_which_runner_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.runner_path()
    monkeypatch.setattr(build, "LINUX", (*build.LINUX, "-DOTHER"))
    build.source_key.cache_clear()
    assert build.runner_path() != before
    build.source_key.cache_clear()


def test_a_library_that_vanishes_is_already_read(fake_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "library.so"
    copy.write_bytes(fake_path.read_bytes())
    library = Library(copy)
    copy.unlink()
    assert library.ops()[0]
    with pytest.raises(FileError):
        Library(copy)


def test_an_instruction_that_the_emulator_lacks_names_the_emulator_to_take() -> None:
    stderr = "qemu: unhandled CPU exception 0x15 - aborting\nr0 = 0x41980000\n"
    outcome = ProcessOutcome(RunRecords(), 1, Progress(RunStage.EXECUTE, 0, 0), stderr)
    error = failure(graph_of(NEG), outcome, Limits(), "node 'conv'")
    assert "rejected an instruction" in error.what and error.where == "node 'conv'"
    assert "qemu-hexagon-static" in error.hint and "r0 =" not in str(error)
