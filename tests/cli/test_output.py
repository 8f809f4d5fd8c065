"""What cannot be written is one error, before the work where it can be; nothing is half written."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from click.testing import CliRunner

from hexconv import cli, files
from hexconv.errors import FileError
from hexconv.signals import ENDING

from .converting import contents, process
from .processes import CONVERT, copied, ended, files_in, words

VERIFY = "verify tiny.onnx --samples speech.npy"

NAMED = [
    "convert gone.onnx -o {}",
    "convert gone.onnx --to qdq -o {}",
    "convert gone.onnx --junit {}",
    "convert --config gone.yml -o {}",
    "calibrate gone.onnx --samples speech.npy -o {}",
    "check gone.onnx --junit {}",
    "cost gone.pb --junit {}",
    "verify gone.onnx --samples speech.npy --junit {}",
    "diff gone.json gone.json --junit {}",
    "demo -o {}",
    "device run gone.pb -o {}",
    "device profile gone.pb --csv {}",
    "exact gone.pb -o {}",
    "explore gone.pb --no-open -o {}",
    "export hifigan --config gone.json -o {}",
    "mace convert --config gone.yml --output {}",
    "phone profile gone.pb -o {}",
    "profile gone.log --chart {}",
    "report gone.pb --html {}",
    "simulate gone.pb --input speech.npy -o {}",
    "vocode --wav gone.wav -o {}",
]
"""Every option that says where to write, in a command whose input is not there."""

DERIVED = {
    "calibrate gone.onnx --samples speech.npy": "gone.ranges",
    "calibrate --merge gone.npz": "merged.ranges",
    "cost gone.pb --html": "gone.report.html",
    "cost gone.onnx --html": "gone.report.html",
    "exact gone.pb": "gone.dsp.onnx",
    "phone profile gone.pb --html": "gone.report.html",
    "report gone.pb": "gone.report.html",
    "report gone.report.json": "gone.report.html",
    "verify gone.onnx --samples speech.npy --html": "gone.report.html",
    "verify --model gone.pb --float gone.onnx --samples speech.npy --html": "gone.report.html",
}
"""What is written, where no option says so."""

WRITING = {
    f"{CONVERT} -o new": "new/tiny.pb",
    f"{CONVERT} -o new --html": "new/tiny.report.html",
    f"{CONVERT} -o new --json": "new/tiny.pb",
    f"{CONVERT} -o new --mace-layout --save-inputs": "new/tiny/model/tiny.pb_txt",
    f"{CONVERT} -o new --split relu": "new/tiny.cpu.onnx",
    "convert tiny.onnx -o new --inputs sum": "new/tiny.front.onnx",
    f"{CONVERT} -o new --to qdq": "new/tiny.qdq.onnx",
    "convert --config tiny.yml -q -o new": "new/tiny.pb",
    "calibrate tiny.onnx --samples speech.npy -o new.ranges": "new.ranges",
    "calibrate tiny.onnx --samples speech.npy -o new.npz": "new.npz",
    "check tiny.onnx --junit new.xml": "new.xml",
    "check tiny.onnx --summary": "summary.md",
    "cost tiny.pb --html": "tiny.report.html",
    "cost tiny.pb --junit new.xml": "new.xml",
    "diff tiny.report.json tiny.report.json --junit new.xml": "new.xml",
    "exact tiny.pb": "tiny.dsp.onnx",
    "explore tiny.pb --no-open": "tiny.explorer.json",
    "mace convert --config tiny.yml --output new": "new/tiny/model/tiny.pb",
    "report tiny.pb": "tiny.report.html",
    "simulate tiny.pb --input speech.npy -o new": "new/fa_out.npy",
    f"{VERIFY} --html": "tiny.report.html",
    f"{VERIFY} --junit new.xml": "new.xml",
}
"""What can run here, and a file that it writes."""

PRINTING = [
    "--help",
    "--version",
    "ops --format csv",
    "preset list",
    "preset show conformer_dsp",
    "check tiny.onnx",
    "check tiny.onnx --json",
    f"{CONVERT} -o new",
    "calibrate tiny.onnx --samples speech.npy --json",
    "cost tiny.pb",
    "cost tiny.pb --csv",
    "diff tiny.report.json tiny.report.json --json",
    "exact tiny.pb --json",
    "explore tiny.pb --no-open",
    "mace convert --config tiny.yml --output new",
    "phone plan tiny.pb",
    "report tiny.pb",
    "simulate tiny.pb --input speech.npy --json",
    f"{VERIFY} --csv",
    f"{VERIFY} --fail-below sqnr=99",
    "convert gone.onnx --json",
]
"""One of each form of output."""


def error_of(text: str, target: str = "") -> FileError:
    """The error that a command ends with, before it looks at an input, which is not there."""
    found = CliRunner().invoke(cli.group, words(text, target)).exception
    assert isinstance(found, FileError), found
    return found


def nothing() -> None:
    """Change nothing."""


def fill_the_disk() -> None:
    """No file grows beyond 64 bytes; CPython would leave 64 bytes of what it compiles, for ever."""
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def fill_stdout() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def close_the_pipe() -> None:
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)


def fill_stderr() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


@pytest.mark.parametrize("text", NAMED)
def test_a_place_that_cannot_be_written_is_an_error_before_the_input_is_read(
    home: Path, text: str
) -> None:
    (home / "file").write_bytes(b"")
    error = error_of(text, "file/there")
    assert error.exit_code == 2 and "is a file" in error.why
    assert error.where in ("file", "file/there")
    assert error_of(text, "x" * 300).why == "File name too long"
    assert sorted(contents(home)) == ["file", "speech.npy", "tiny.onnx"]


@pytest.mark.parametrize("text, name", DERIVED.items())
def test_a_name_that_is_a_folders_is_an_error_before_the_input_is_read(
    home: Path, text: str, name: str
) -> None:
    (home / name).mkdir()
    error = error_of(text)
    assert error.where == name and error.why == "a folder has this name"


def test_a_device_is_not_replaced_by_a_file(home: Path) -> None:
    os.mkfifo("pipe")
    assert error_of("exact gone.pb -o {}", "pipe").why == "it is not a regular file"
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("text, name", WRITING.items())
def test_on_a_full_disk_nothing_is_half_written(built: Path, text: str, name: str) -> None:
    before = {path: path.read_bytes() for path in built.rglob("*") if path.is_file()}
    folders = [path for path in built.rglob("*") if path.is_dir()]
    code, said = ended(text, fill_the_disk)
    assert code == 2, said
    assert said.count("error:") == 1 and "File too large" in said and "Traceback" not in said
    assert {path: path.read_bytes() for path in built.rglob("*") if path.is_file()} == before
    assert [path for path in built.rglob("*") if path.is_dir()] == folders
    code, said = ended(text, nothing)
    assert code == 0, said
    assert (built / name).stat().st_size > 64


def test_what_a_run_has_printed_does_not_count_for_the_next_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, kind in (("check tiny.onnx --json", "check"), ("check gone.onnx --json", "error")):
        monkeypatch.setattr("sys.argv", ["hexconv", *words(text)])
        cli.main()
        assert json.loads(capsys.readouterr().out)["kind"] == kind


@pytest.mark.parametrize("text", PRINTING)
def test_output_that_has_nowhere_to_go_is_one_error(built: Path, text: str) -> None:
    code, said = ended(text, fill_stdout)
    assert code == 1
    assert said.splitlines()[-1] == "error: the output cannot be written: No space left on device"
    assert "Traceback" not in said
    code, said = ended(text, close_the_pipe)
    assert code == 1 and "Traceback" not in said and "cannot be written" not in said
    wanted = ended(text, nothing)[0]
    assert ended(text, fill_stderr)[0] == wanted


def in_an_import(number: int, verb: str) -> None:
    """Ask the process to end while a command is imported."""

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == f"hexconv.cli.{verb}":
                os.kill(os.getpid(), number)

    sys.modules.pop(f"hexconv.cli.{verb}", None)
    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]


def while_writing(number: int, verb: str) -> None:
    """Ask the process to end before the first byte of a file."""
    real = files._write

    def write(stream: BinaryIO, content: bytes | files.Chunks) -> None:
        os.kill(os.getpid(), number)
        real(stream, content)

    files._write = write


def while_renaming(number: int, verb: str) -> None:
    """Ask the process to end between staging and the first rename."""
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        os.kill(os.getpid(), number)
        return real(self, target)

    Path.replace = replace  # type: ignore[method-assign, assignment]


MOMENTS = (in_an_import, while_writing, while_renaming)


STAGED = [text for text in WRITING if "--summary" not in text]
"""What is written as a whole; a summary is appended to what other steps of a workflow wrote."""


@pytest.mark.parametrize(("turn", "text"), list(enumerate(STAGED)))
def test_a_command_that_is_asked_to_end_leaves_the_old_files_or_the_new_ones(
    built: Path, turn: int, text: str
) -> None:
    """Each signal has each moment, over three commands."""
    folders = [copied(built, str(number)) for number in range(4)]
    assert ended(text, lambda: os.chdir(folders[3]))[0] == 0
    old, new = files_in(built), files_in(folders[3])
    for place, moment in enumerate(MOMENTS):
        folder, number = folders[place], ENDING[(turn + place) % len(ENDING)]

        def before() -> None:
            os.chdir(folder)  # noqa: B023
            signal.signal(number, signal.SIG_DFL)  # noqa: B023
            moment(number, words(text)[0])  # noqa: B023

        code, said = ended(text, before)
        assert code == 128 + number, said
        assert said.splitlines()[-1] == "interrupted: no partial file was written"
        assert "Traceback" not in said
        left = files_in(folder)
        if moment is while_renaming:
            assert set(left) <= set(new) and all(c in (old.get(n), new[n]) for n, c in left.items())
        else:
            assert left == old
    assert old != new


SETS = [
    f"{CONVERT} --html -o .",
    f"{CONVERT} --mace-layout --save-inputs -o .",
    f"{CONVERT} --split relu -o .",
    "explore tiny.pb --no-open",
    "mace convert --config tiny.yml --samples speech.npy --output .",
]
"""Commands that write several files of one model."""


def killed_at(folder: Path, last: int) -> Callable[[], None]:
    """Work in `folder`, and kill the process before a rename."""

    def before() -> None:
        real, renamed = Path.replace, count()

        def replace(self: Path, target: Path) -> Path:
            if next(renamed) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, target)

        os.chdir(folder)
        Path.replace = replace  # type: ignore[method-assign, assignment]

    return before


@pytest.mark.parametrize("text", SETS)
def test_a_kill_between_two_files_leaves_whole_ones_and_the_next_run_sweeps(
    built: Path, text: str
) -> None:
    np.save("speech.npy", 3 * np.load("speech.npy"))
    old, whole = files_in(built), copied(built, "whole")
    assert ended(text, lambda: os.chdir(whole))[0] == 0
    new = files_in(whole)
    for last in (0, 1, 3):
        folder = copied(built, str(last))
        code, _ = ended(text, killed_at(folder, last))
        assert code in (-signal.SIGKILL, 0)
        left = {n: c for n, c in files_in(folder).items() if not Path(n).name.startswith(".")}
        assert set(old) <= set(left) <= set(new)
        assert all(content in (old.get(name), new[name]) for name, content in left.items())
        assert ended(text, lambda: os.chdir(folder))[0] == 0  # noqa: B023
        assert files_in(folder) == new
    assert old != new


def test_of_two_conversions_at_once_one_wins_whole(built: Path) -> None:
    wanted = []
    for number in range(3):
        np.save(f"{number}.npy", (number + 2) * np.load("speech.npy"))
    texts = [f"convert tiny.onnx --samples {n}.npy --html -o new" for n in range(3)]
    for number, text in enumerate(texts):
        folder = copied(built, str(number))
        assert ended(text, lambda: os.chdir(folder))[0] == 0  # noqa: B023
        wanted.append(files_in(folder / "new"))
    with ThreadPoolExecutor() as pool:
        running = list(pool.map(lambda text: process(*words(text), "-q"), texts))
    assert [done.returncode for done in running] == [0] * 3
    assert files_in(built / "new") in wanted and wanted[0] != wanted[1] != wanted[2]


def closed(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


@pytest.mark.parametrize("numbers", [(1,), (0, 1, 2)])
def test_a_closed_stdout_is_an_error_and_no_file_takes_its_place(
    built: Path, numbers: tuple[int, ...]
) -> None:
    done = process(*words(CONVERT), "-o", "new", preexec_fn=closed(*numbers))
    said = ["error: the output cannot be written: Bad file descriptor"] if 2 not in numbers else []
    assert (done.returncode, done.stderr.splitlines()) == (1, said)
    same = CliRunner().invoke(cli.group, [*words(CONVERT), "-q", "-o", "other"])
    assert same.exit_code == 0
    assert (built / "new/tiny.pb").read_bytes() == (built / "other/tiny.pb").read_bytes()
