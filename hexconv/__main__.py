"""`python -m hexconv`: asked to end, it says one line, and exits with 128 + the signal."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from hexconv.signals import ENDING

CAN_WAIT = hasattr(signal, "setitimer")  # Windows has none
RETRY = 0.001
"""Seconds after which a signal that came during an import is looked at again."""

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

GRACE = 2.0
"""Seconds in which further requests are the same one: cleaning up goes on. systemd sends two."""

STREAMS = ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY))
"""Number, name, and how one that is closed is opened."""

COLLECT_AFTER = (20_000, 20, 100)
"""Allocations, and collections of younger objects, after which Python looks for cycles. It walks
all objects each time, and a graph of 20,000 nodes has millions, which live until the end."""

received: list[int] = []
since = 0.0


class Interrupted(KeyboardInterrupt):
    """A signal asks this process to end.

    A class of our own: when KeyboardInterrupt itself leaves `exec` of a string, as dataclasses
    and named tuples call it in an import, CPython kills the process with SIGINT when it exits,
    caught or not (`_Py_UnhandledKeyboardInterrupt` in Python/pythonrun.c).
    """


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Raise, but not inside of an import: initializing a C extension, that aborts the process."""
    global since
    if number in ENDING:
        if received and time.monotonic() - since < GRACE:
            return
        received.append(number)
        since = time.monotonic()
    if CAN_WAIT and _importing(frame):
        signal.setitimer(signal.ITIMER_REAL, RETRY)
        return
    raise Interrupted


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """The work is done; what runs now are the exit handlers of libraries, which may not raise."""
    if number in ENDING:
        os._exit(128 + (received or [number])[0])


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Raise again what a `__del__` or callback of C has swallowed, a little later."""
    if CAN_WAIT and issubclass(found.exc_type, Interrupted):
        signal.setitimer(signal.ITIMER_REAL, RETRY)
    else:
        sys.__unraisablehook__(found)


def _listen(handler: Handler, *replaced: object) -> None:
    """End in order on SIGTERM and SIGHUP as on Ctrl-C; what is ignored (nohup) stays ignored."""
    for number in ENDING:
        if signal.getsignal(number) in replaced:
            signal.signal(number, handler)
    if CAN_WAIT:
        signal.signal(signal.SIGALRM, handler)


def _settle() -> None:
    """The work is done. A timer that is left would kill: Python takes its handler away at exit."""
    if CAN_WAIT:
        signal.setitimer(signal.ITIMER_REAL, 0)
    _listen(_end_at_once, _interrupted)


def _ignore() -> None:
    """The last exit handler: Python takes its own handlers away next, and a signal would kill.

    Those that are ignored it leaves alone: the exit code stays that of the work, which is done.
    """
    _listen(signal.SIG_IGN, _end_at_once)


def _open_missing() -> None:
    """Open the standard streams that are closed: the next file would get their numbers.

    What is written to stdout fails then, as it would, and what goes to stderr is lost.
    """
    for number, name, flags in STREAMS:
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _discard_output() -> None:
    """What is still in the buffers has nowhere to go; Python would say so with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _work() -> int:
    """The exit code of the command line."""
    import gc
    from contextlib import suppress

    gc.set_threshold(*COLLECT_AFTER)
    try:
        from hexconv.cli import main as run

        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        code = 1
    except OSError as error:  # of stdout: files of the user are HexconvErrors
        with suppress(OSError):
            text = f"error: the output cannot be written: {error.strerror or error}"
            print(text, file=sys.stderr, flush=True)
        _discard_output()
        code = 1
    return code


def main() -> None:
    """Run the command line; the imports are as quiet when interrupted as the work is."""
    sys.unraisablehook = _unraisable
    atexit.register(_ignore)  # before the imports, whose exit handlers run before it
    try:
        try:
            _listen(_interrupted, signal.SIG_DFL, signal.default_int_handler)
            _open_missing()
            code = _work()
        finally:
            _settle()
    except KeyboardInterrupt:
        _settle()
        print("interrupted: no partial file was written", file=sys.stderr)
        code = 128 + (received or [signal.SIGINT])[0]
    sys.exit(code)


if __name__ == "__main__":
    main()
