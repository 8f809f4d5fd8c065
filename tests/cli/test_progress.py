"""Bars, and what a log gets of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import hexconv
from hexconv.cli._terminal import say, stages, table
from hexconv.compare.accuracy import accuracy
from hexconv.files import write_files

from .terminal import Terminal


@pytest.mark.parametrize("color", ["FORCE_COLOR", "NO_COLOR", "CI"])
def test_a_log_has_no_codes_of_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], color: str
) -> None:
    monkeypatch.setenv(color, "1")
    with stages(shown=True) as progress:
        progress("calibrate", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with stages(shown=True) as progress:
        for done in range(1, 4):
            progress("calibrate", done, 3)
    assert "calibrate" in screen.getvalue() and "3/3" in screen.getvalue()


def test_a_number_that_is_not_known_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with stages(shown=True) as progress:
        progress("converting", 0, 0)
    assert "converting" in screen.getvalue() and "0/?" not in screen.getvalue()


def test_the_accuracy_of_a_conversion_tells_how_many_samples_it_takes(built: Path) -> None:
    told: list[tuple[str, int, int]] = []
    model = hexconv.load(built / "tiny.pb")
    accuracy(model, built / "tiny.onnx", count=3, progress=lambda *step: told.append(step))
    assert told == [("accuracy", done, 3) for done in range(4)]


def screen_of(text: str) -> list[str]:
    """The lines that a terminal shows in the end: of what rich moves and erases."""
    lines, row, column = [""], 0, 0
    for escape, letter in re.findall(r"\x1b\[([\d;?]*[A-Za-z])|([\s\S])", text):
        if escape.endswith("A"):
            row = max(row - int(escape[:-1] or 1), 0)
        elif escape == "2K":
            lines[row] = ""
        elif letter == "\r":
            column = 0
        elif letter == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif letter:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + letter + line[column + 1 :]
            column += 1
    return lines


def test_what_is_printed_beside_a_bar_has_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with stages(shown=True) as progress:
        progress("calibrate", 1, 3)
        say("warning: first", err=True)
        progress("calibrate", 2, 3)
        table(["name", "count"], [("a", 1)])
        progress("accuracy", 0, 0)
        say("last")
    assert "2/3" in screen.getvalue()
    assert [line for line in screen_of(screen.getvalue()) if line.strip()] == [
        *("warning: first", "name  count", "a         1", "last")
    ]


def test_in_ci_a_terminal_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("CI", "true")
    with stages(shown=True) as progress:
        progress("calibrate", 1, 3)
    assert screen.getvalue() == ""


def test_progress_knows_how_many_samples_there_are(tmp_path: Path) -> None:
    from hexconv.calibrate import count_samples
    from hexconv.cli.simulate import ModelFeeds
    from hexconv.nnlib.graph import Interface
    from hexconv.nnlib.layout import Layout

    graph = ModelFeeds([Interface("x", (1, 4), Layout.channels_last(2))])
    arrays = np.zeros((3, 4), np.float32)
    np.save(tmp_path / "three.npy", arrays)
    np.savez(tmp_path / "three.npz", x=arrays)
    write_files({tmp_path / "five.bin": bytes(5 * 16)})
    counts = {name: count_samples(tmp_path / name, graph) for name in ("three.npy", "three.npz")}
    assert counts == {"three.npy": 3, "three.npz": 3}
    assert count_samples(tmp_path / "five.bin", graph) == 5
    assert count_samples(tmp_path, graph) == 11
    assert count_samples([f"x={tmp_path / 'three.npy'}"], graph) == 3
    assert count_samples([{"x": arrays[0]}] * 2, graph) == 2
    assert count_samples(tmp_path / "none.npy", graph) == 0


@pytest.mark.parametrize(
    "header",
    [
        b"\x93NUMPY\x01\x00v\x00{'descr'" + bytes(200),
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x04\x00{{{{",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}",
        b"\x93NUMPY\x09\x00",
        b"PK\x03\x04" + bytes(40),
        b"",
    ],
)
def test_progress_over_a_damaged_file_is_left_to_who_reads_it(
    tmp_path: Path, header: bytes
) -> None:
    from hexconv.calibrate import count_samples
    from hexconv.cli.simulate import ModelFeeds
    from hexconv.nnlib.graph import Interface
    from hexconv.nnlib.layout import Layout

    graph = ModelFeeds([Interface("x", (1, 4), Layout.channels_last(2))])
    (tmp_path / "m.npy").write_bytes(header)
    assert count_samples(tmp_path / "m.npy", graph) == 0
