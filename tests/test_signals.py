"""Work that a signal may not cut in two: the signal counts when it is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import hexconv
from hexconv.device import process
from hexconv.device.workspace import workspace
from hexconv.signals import Deferred


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Python's own of Ctrl-C, none of the others, as in a notebook."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with Ctrl-C while it returns."""

    def run(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10):
            os.getpid()  # where a signal's handler is run
        return result

    return run


INTERRUPTED_EARLY = "import _signal; _signal.raise_signal(_signal.SIGINT)"
"""In place of the module that the command imports first."""

SCRIPT = "import sys\nfrom hexconv.__main__ import main\nsys.exit(main())\n"


@pytest.mark.parametrize("how", ["module", "script", "program"])
def test_ctrl_c_in_the_first_imports_shows_no_traceback(how: str, tmp_path: Path) -> None:
    (tmp_path / "signal.py").write_text(INTERRUPTED_EARLY)
    script = tmp_path / ("hexconv" if how == "script" else "program.py")
    script.write_text(SCRIPT)
    arguments = ["-m", "hexconv"] if how == "module" else [str(script)]
    paths = os.pathsep.join([str(tmp_path), str(Path(hexconv.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, *arguments, "preset", "list"],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if how == "program":  # of the user's: what Python does there is the user's too
        assert "KeyboardInterrupt" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_signal_is_raised_when_the_block_is_done() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), Deferred():
        interrupted(os.getpid)()
        done = True
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_or_has_no_handler_is_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Deferred():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        interrupted(os.getpid)()


def test_a_thread_has_no_signals_to_defer() -> None:
    def run() -> Any:
        with Deferred():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() is signal.default_int_handler


def test_ctrl_c_while_an_emulator_starts_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            started.append(self)
            interrupted(super().__init__)(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (tmp_path / "out").open("wb") as output, pytest.raises(KeyboardInterrupt):
        process._run(command, output, 60, None)
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["mkdtemp", "cleanup"])
def test_ctrl_c_while_a_folder_is_made_or_removed_leaves_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    owner = tempfile if name == "mkdtemp" else tempfile.TemporaryDirectory
    monkeypatch.setattr(owner, name, interrupted(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt), workspace() as folder:
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())
