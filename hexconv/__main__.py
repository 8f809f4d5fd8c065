"""`python -m hexconv`: asked to end, it says one line, and exits with 128 + the signal."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from hexconv.signals import ENDING

CAN_WAIT = hasattr(signal, "setitimer")  # Windows has none
RETRY = 0.02
"""Seconds after which a signal that came during an import is looked at again."""

received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal asks this process to end.

    A class of our own: when KeyboardInterrupt itself leaves `exec` of a string, as dataclasses
    and named tuples call it in an import, CPython kills the process with SIGINT when it exits,
    caught or not (`_Py_UnhandledKeyboardInterrupt` in Python/pythonrun.c).
    """


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Raise, but not inside of an import: initializing a C extension, that aborts the process."""
    if number in ENDING:
        received.append(number)
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


def _listen() -> None:
    """End in order on SIGTERM and SIGHUP as on Ctrl-C; what is ignored (nohup) stays ignored."""
    for number in ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupted)
    if CAN_WAIT:
        signal.signal(signal.SIGALRM, _interrupted)


def _discard_output() -> None:
    """What is still in the buffers has nowhere to go; Python would say so with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def main() -> None:
    """Run the command line; the imports are as quiet when interrupted as the work is."""
    try:
        _listen()
        from hexconv.cli import main as run

        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted: no partial file was written", file=sys.stderr)
        code = 128 + (received or [signal.SIGINT])[0]
    except BrokenPipeError:
        _discard_output()
        code = 1
    except OSError as error:  # of stdout: files of the user are HexconvErrors
        print(f"error: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        _discard_output()
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
