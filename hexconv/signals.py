"""The signals that ask a process to end, and work that they may not cut in two."""

from __future__ import annotations

import signal
from types import FrameType

TYPE_CHECKING = False  # the command line has no handlers yet while this is imported
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENDING = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Windows has no SIGHUP."""


class Deferred:
    """A block that signals of `ENDING` wait for: what it starts is known to those that end it.

    `subprocess.Popen` that is interrupted leaves a process that nobody knows of. What a handler
    raises is raised at the end of the block. Signals without a handler in Python, and those of
    programs that run the block in another thread, are as they are.
    """

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[int] = []

    def __enter__(self) -> None:
        from threading import current_thread, main_thread

        if current_thread() is main_thread():
            for number in ENDING:
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, signal.Handlers):
                    self._before[number] = handler
                    signal.signal(number, self._wait)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for number in self._came[:1]:
            self._before[number](number, None)
