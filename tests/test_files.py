"""Sets of files: whole after a kill, one writer wins whole, nothing is left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent, indent

import pytest

from hexconv.errors import FileError
from hexconv.files import complete, write_files
from tests.forks import fork

ROOT = str(Path(__file__).parents[1])
NAMES = ("m.pb", "m.data", "m.yml")

WRITER = """
import os, sys
from pathlib import Path
from hexconv import files
folder, text, last = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
real, count = Path.replace, 0
def replace(self, target):
    global count
    if count == last:
        os.kill(os.getpid(), 9)
    count += 1
    return real(self, target)
Path.replace = replace
files.write_files({folder / n: text * 1000 for n in ("m.pb", "m.data", "m.yml")})
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ROOT}


def write(folder: Path, text: str, last: int) -> int:
    """Write the set in a process that kills itself before rename `last`."""
    command = [sys.executable, "-c", WRITER, str(folder), text, str(last)]
    return subprocess.run(command, env=environment(), check=False).returncode


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_kill_at_a_rename_leaves_every_file_whole_and_the_pb_the_old(
    tmp_path: Path, last: int
) -> None:
    write_files({tmp_path / name: b"a" * 1000 for name in NAMES})
    assert write(tmp_path, "b", last) == -signal.SIGKILL
    found = {name: (tmp_path / name).read_bytes() for name in NAMES}
    assert found["m.pb"] == b"a" * 1000
    assert all(text in (b"a" * 1000, b"b" * 1000) for text in found.values())
    assert sorted(path.name for path in tmp_path.glob("m.*")) == sorted(NAMES)


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    write(tmp_path, "b", 1)
    assert list(tmp_path.glob(".hexconv-*"))
    write_files({tmp_path / name: b"c" for name in NAMES})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_the_renames_of_a_killed_writer_are_carried_out_by_who_comes_next(
    tmp_path: Path, last: int
) -> None:
    write_files({tmp_path / name: b"a" * 1000 for name in NAMES})
    write(tmp_path, "b", last)
    complete(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(
        NAMES, b"b" * 1000
    )


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_writer_of_another_set_carries_them_out_too(tmp_path: Path, last: int) -> None:
    write(tmp_path, "b", last)
    write_files({tmp_path / "other": b"c"})
    assert {(tmp_path / name).read_bytes() for name in NAMES} == {b"b" * 1000}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*NAMES, "other"])


@pytest.mark.parametrize("content", [b"", b"[[", b"7", b"[[1]]"])
def test_a_journal_that_is_no_journal_moves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".hexconv-0.moves").write_bytes(content)
    (tmp_path / ".hexconv-1").write_bytes(b"new")
    complete(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_could_be_made_only_in_part_are_removed(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        write_files({tmp_path / "a" / ("n" * 300) / "x": b""})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("move", [["m.pb", "x"], [".hexconv-1", "../x"], ["../m.pb", "x"]])
def test_a_journal_moves_temporary_files_of_its_folder_only(
    tmp_path: Path, move: list[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("m.pb", "folder/m.pb", "folder/.hexconv-1"):
        (tmp_path / name).write_bytes(b"old")
    (folder / ".hexconv-0.moves").write_text(json.dumps([move]))
    complete(folder)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert found == ["folder", "folder/m.pb", "m.pb"]


def test_of_two_writers_one_wins_whole(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", WRITER, str(tmp_path), t, "99"] for t in "abcd"]
    running = [subprocess.Popen(command, env=environment()) for command in commands]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    assert len({(tmp_path / name).read_bytes() for name in NAMES}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def forked(folder: Path, text: bytes) -> int:
    """The id of a process that writes the set."""
    child = fork()
    if child == 0:
        code = 1
        try:
            write_files({folder / name: text * 100_000 for name in NAMES})
            code = 0
        finally:
            os._exit(code)
    return child


def test_of_two_writers_one_wins_whole_twenty_times(tmp_path: Path) -> None:
    for _ in range(20):
        running = [forked(tmp_path, text) for text in (b"a", b"b")]
        assert [os.waitpid(child, 0)[1] for child in running] == [0, 0]
        assert len({(tmp_path / name).read_bytes() for name in NAMES}) == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_the_umask_holds_for_what_is_written(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_files({tmp_path / "m.pb": b"x"})
    finally:
        os.umask(before)
    assert (tmp_path / "m.pb").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.15, 0.6])
def test_a_command_that_is_asked_to_end_says_one_line(
    tmp_path: Path, number: signal.Signals, after: float
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "hexconv", "demo"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (1, 2, 15)],
    )
    status = Path(f"/proc/{child.pid}/status")
    while "SigCgt:\t0000000000006003" not in status.read_text():  # once the handlers are set
        assert child.poll() is None
        time.sleep(0.005)
    time.sleep(after)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 128 + number
    assert stderr.strip().splitlines() == ["interrupted: no partial file was written"]
    assert not list(tmp_path.glob("**/.hexconv-*"))


def test_nothing_that_takes_long_is_imported_before_the_handlers_are_set() -> None:
    """Until then Ctrl-C is Python's own traceback."""
    slow = "{'click', 'contextlib', 'inspect', 'numpy', 'pathlib', 're', 'typing'}"
    code = f"import sys, hexconv.__main__; print(sorted({slow} & set(sys.modules)))"
    command = [sys.executable, "-S", "-c", code]  # without what site itself imports
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def run_interrupted(tmp_path: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command line that runs `command` instead of a verb."""
    text = f"""
import atexit, gc, os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup that
import hexconv.__main__, hexconv.cli
def work():
{indent(dedent(command), "    ")}
hexconv.cli.main = work
hexconv.__main__.main()
"""
    (tmp_path / "interrupted.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_exit_code_holds_when_the_signal_comes_while_a_string_is_executed(
    tmp_path: Path,
) -> None:
    """Dataclasses and named tuples are made so: any import of one may be interrupted there."""
    command = 'exec("import os, time; os.kill(os.getpid(), 15); time.sleep(60)")'
    done = run_interrupted(tmp_path, command)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines() == ["interrupted: no partial file was written"]


@pytest.mark.parametrize("number", [2, 15, 1])
def test_a_signal_in_an_exit_handler_ends_the_process_without_a_traceback(
    tmp_path: Path, number: int
) -> None:
    """Torch's take a second."""
    done = run_interrupted(
        tmp_path,
        f"""
        atexit.register(lambda: (os.kill(os.getpid(), {number}), time.sleep(60)))
        return 0
        """,
    )
    assert (done.returncode, done.stderr) == (128 + number, "")


def test_a_signal_in_an_exit_handler_keeps_the_code_of_the_one_before(tmp_path: Path) -> None:
    done = run_interrupted(
        tmp_path,
        """
        atexit.register(lambda: (os.kill(os.getpid(), 1), time.sleep(60)))
        os.kill(os.getpid(), 15)
        time.sleep(60)
        """,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines() == ["interrupted: no partial file was written"]


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("number", [2, 15, 1])
def test_a_signal_while_python_takes_itself_apart_changes_no_exit_code(
    tmp_path: Path, number: int, code: int
) -> None:
    """With torch or a large graph that takes as long as a short command."""
    done = run_interrupted(
        tmp_path,
        f"""
        class Last:
            def __del__(self, kill=os.kill, process=os.getpid(), write=os.write):
                kill(process, {number})
                write(1, b"alive")
        hexconv.last = Last()
        return {code}
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "alive", "")


def test_a_signal_in_a_finalizer_ends_the_process_and_not_the_finalizer_alone(
    tmp_path: Path,
) -> None:
    done = run_interrupted(
        tmp_path,
        """
        class Finalized:
            def __del__(self):
                os.kill(os.getpid(), 15)
                time.sleep(60)
        thing = Finalized()
        del thing
        time.sleep(60)
        """,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines() == ["interrupted: no partial file was written"]


def test_a_request_in_an_import_that_ends_the_work_leaves_no_timer(tmp_path: Path) -> None:
    """It would fire when Python has taken its handler away, and kill the process."""
    done = run_interrupted(
        tmp_path,
        """
        import signal
        hexconv.__main__._importing = lambda frame: True
        hexconv.__main__.RETRY = 100.0
        atexit.register(lambda: print(signal.getitimer(signal.ITIMER_REAL)[0]))
        os.kill(os.getpid(), 15)
        assert signal.getitimer(signal.ITIMER_REAL)[0]
        return 0
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.0\n", "")


def test_a_second_signal_does_not_interrupt_cleaning_up(tmp_path: Path) -> None:
    done = run_interrupted(
        tmp_path,
        """
        try:
            os.kill(os.getpid(), 15)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), 1)
            time.sleep(0.1)
            open("cleaned", "w").close()
        """,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines() == ["interrupted: no partial file was written"]
    assert (tmp_path / "cleaned").exists()


def test_output_that_cannot_be_written_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hexconv", "ops", "Conv"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: the output cannot be written: No space left on device"
    ]


def test_a_closed_pipe_ends_a_command_quietly() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "hexconv", "ops"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == b""
    assert child.wait(timeout=60) == 1
