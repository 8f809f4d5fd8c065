"""Run cases in processes of their own: a crash, a hang, or too much memory is a finding too."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

SECONDS = 60
"""Processor time of a case: on a busy machine the clock says nothing about a case."""

PATIENCE = 1800
"""Seconds by the clock after which a case that uses no processor is stuck."""

MEMORY = 8 << 30
"""Bytes of address space, most of it what onnxruntime and torch reserve."""

ROOT = Path(__file__).parents[3]
CASES_A_PROCESS = 2000
"""After so many a new process takes over: what a case leaves behind must not pile up."""


@dataclass(frozen=True)
class Case:
    """One damaged file: of a format, made from a seed; or the folder of one kept."""

    form: str
    seed: int = 0
    folder: str = ""

    def __str__(self) -> str:
        return self.folder or f"{self.form}-{self.seed}"


@dataclass(frozen=True)
class Finding:
    """What came out instead of a result or a HexconvError."""

    case: Case
    error: str
    place: str
    text: str
    files: dict[str, bytes]

    @property
    def kind(self) -> str:
        """What findings of one cause have in common."""
        return f"{self.case.form.split('-')[0]}: {self.error} in {self.place}"


def tried(case: Case, seconds: float = 0) -> Finding | None:
    """Run one case here; None if it ends as it should.

    With `seconds`, reading the file may take as much processor time; SIGPROF ends this process
    after that. Making the file does not count: the first one of a process makes all seeds.
    """
    from hexconv.errors import HexconvError, HexconvWarning
    from tests.fuzz.files.formats import FORMATS

    form = FORMATS[case.form]
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        folder = Path(case.folder) if case.folder else Path(place)
        files = {} if case.folder else form.make(Random(f"{case.form} {case.seed}"))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", HexconvWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with _bounded(seconds):
                form.use(folder)
        except HexconvError as error:
            return None if str(error) else Finding(case, "empty", "", "no message", files)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [f for f in frames if "/hexconv/" in f.filename and "/tests/" not in f.filename]
            at = own[-1] if own else frames[-1]
            place_ = f"{Path(at.filename).name}:{at.name}"
            text = (str(error).strip().splitlines() or [""])[0][:160]
            return Finding(case, type(error).__name__, place_, text, files)
    return None


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """End this process after `seconds` of its processor time; never if 0."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(pipe: Connection, seconds: float, limited: bool) -> None:
    if limited:
        _limit_memory()
    os.environ["OMP_NUM_THREADS"] = "1"
    while (case := pipe.recv()) is not None:
        try:
            pipe.send(tried(case, seconds))
        except Exception as error:  # of the fuzzer itself
            pipe.send(Finding(case, "fuzzer", type(error).__name__, traceback.format_exc(), {}))


class _Worker:
    """A process, and the case that it has."""

    def __init__(self, seconds: float, limited: bool) -> None:
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, seconds, limited), daemon=True)
        self.process.start()
        other.close()
        self.case = Case("")
        self.since, self.count = 0.0, 0

    def give(self, case: Case) -> None:
        """Let it run a case."""
        self.case, self.since = case, time.monotonic()
        self.count += 1
        self.pipe.send(case)

    def result(self) -> Finding | None:
        """What came of the case; the death of the process is a finding too."""
        try:
            found: Finding | None = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            return self.lost("no end" if code == -signal.SIGPROF else f"exit {code}")
        return found

    def is_done(self, found: Finding | None) -> bool:
        """Whether the next case needs a new process."""
        dead = found is not None and found.place == "the process"
        return dead or self.count >= CASES_A_PROCESS

    def lost(self, error: str) -> Finding:
        """The finding of a case that took its process along."""
        from tests.fuzz.files.formats import FORMATS

        made = Random(f"{self.case.form} {self.case.seed}")
        files = {} if self.case.folder else FORMATS[self.case.form].make(made)
        return Finding(self.case, error, "the process", "", files)

    def end(self) -> None:
        """Stop it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def campaign(
    cases: Iterable[Case],
    jobs: int,
    *,
    seconds: float = SECONDS,
    patience: float = PATIENCE,
    limited: bool = True,
) -> Iterator[tuple[Case, Finding | None]]:
    """Run cases in `jobs` processes, each for `seconds` of processor time at most."""
    waiting = iter(cases)
    busy = [_given(_Worker(seconds, limited), case) for case in itertools.islice(waiting, jobs)]
    while busy:
        ready: list[Any] = wait([worker.pipe for worker in busy], timeout=1.0)
        for worker in list(busy):
            if worker.pipe in ready:
                ended = worker.result()
            elif time.monotonic() - worker.since > patience:
                ended = worker.lost("no end")
            else:
                continue
            yield worker.case, ended
            busy.remove(worker)
            case = next(waiting, None)
            if case is None or worker.is_done(ended):
                worker.end()
                worker = _Worker(seconds, limited) if case is not None else worker
            if case is not None:
                busy.append(_given(worker, case))


def _given(worker: _Worker, case: Case) -> _Worker:
    worker.give(case)
    return worker
