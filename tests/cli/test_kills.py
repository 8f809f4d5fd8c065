"""A command that is killed at any of its steps leaves the old files or the new ones."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

import hexconv
from hexconv import files

from .processes import CONVERT, copied, ended, files_in

COMMANDS = [
    f"{CONVERT} --html -o .",
    f"{CONVERT} --mace-layout --save-inputs -o .",
    f"{CONVERT} --split relu -o .",
    f"{CONVERT} --to qdq -o .",
    "calibrate tiny.onnx --samples speech.npy -o tiny.ranges",
    "calibrate tiny.onnx --samples speech.npy -o tiny.npz",
    "explore tiny.pb --no-open",
    "exact tiny.pb",
    "mace convert --config tiny.yml --samples speech.npy --output .",
    "report tiny.pb",
    "simulate tiny.pb --input speech.npy -o out",
    "verify tiny.onnx --samples speech.npy --html",
]
"""Commands that write over what an earlier run of them wrote."""

STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
"""What Python tells its audit hooks before it changes a folder, and before reads of files."""

State = dict[str, bytes]
"""What is in a folder: content by name."""


def recording(folder: Path, store: Path) -> Callable[[], None]:
    """Work in `folder`, and append to `store` what is in it before each step, if it changed.

    That is what a kill there would leave: it loses what the process holds in memory, no more.
    """

    def before() -> None:
        os.chdir(folder)
        last: State = {}
        is_reading = False

        def keep(event: str, arguments: tuple[Any, ...] = ()) -> None:
            nonlocal last, is_reading
            if event not in STEPS or is_reading:
                return
            is_reading = True
            found = raw_files_in(folder)
            if found != last:
                last = found
                with store.open("ab") as stream:
                    pickle.dump(found, stream)
            is_reading = False

        real = files._write

        def write(stream: BinaryIO, content: bytes | files.Chunks) -> None:
            whole = content if isinstance(content, bytes) else b"".join(content)
            for half in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
                real(stream, half)
                keep("open")

        files._write = write
        sys.addaudithook(keep)

    return before


def raw_files_in(folder: Path) -> State:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def states_of(store: Path) -> list[State]:
    states: list[State] = []
    with store.open("rb") as stream:
        while stream.peek(1):
            states.append(pickle.load(stream))
    return states


def restore(state: State, folder: Path) -> None:
    for name, content in state.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def write_to_all(folder: Path) -> None:
    """What any next run does in each folder that it writes to."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        files.write_files({place / "other": b""})
        (place / "other").unlink()


@pytest.mark.parametrize("text", COMMANDS)
def test_a_kill_at_any_step_leaves_a_set_that_loads_and_the_next_run_makes_whole(
    built: Path, text: str
) -> None:
    assert ended(text, lambda: None)[0] == 0
    np.save("speech.npy", 3 * np.load("speech.npy"))
    old, whole = files_in(built), copied(built, "whole")
    store = built.with_name(f"{built.name}-states")
    code, said = ended(text, recording(whole, store))
    assert code == 0, said
    new, states = files_in(whole), states_of(store)
    assert len(states) >= 5  # a half, a whole temporary file, the renamed one with the old one
    for number, state in enumerate(states):
        folder = built.with_name(f"{built.name}-{number}")
        restore({n: c.replace(bytes(whole), bytes(built)) for n, c in state.items()}, folder)
        left = {n: c.replace(bytes(built), b".") for n, c in raw_files_in(folder).items()}
        visible = {n: c for n, c in left.items() if not Path(n).name.startswith(".")}
        assert set(old) <= set(visible) <= set(new)
        assert all(content in (old.get(name), new[name]) for name, content in visible.items())
        for path in folder.rglob("tiny.pb"):
            assert hexconv.load(path).graph.nodes
        write_to_all(folder)
        left = {n: c.replace(bytes(built), b".") for n, c in raw_files_in(folder).items()}
        assert left in (old, new)
