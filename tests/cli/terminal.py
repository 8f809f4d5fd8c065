"""What a command prints on a terminal of some width, or into a pipe, and whether it fits."""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable, Sequence

import pytest

from hexconv.cli import group, main
from hexconv.cli._terminal import cell_len
from hexconv.translation import choose

WORD = re.compile(r"[!-~]*[A-Za-z][!-~]*")
"""What is not broken in Chinese text either: a name, an English word; figures differ by run."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(arguments: Sequence[object], columns: int | None = None) -> str:
    """What a command prints on a terminal of so many columns, or into a pipe."""
    patch = pytest.MonkeyPatch()
    with patch.context() as here:
        out: io.StringIO = io.StringIO() if columns is None else Terminal()
        here.setattr(sys, "stdout", out)
        here.delenv("FORCE_COLOR", raising=False)
        here.setenv("LC_ALL", "C")
        if columns is not None:
            here.setenv("COLUMNS", str(columns))
        group([str(argument) for argument in arguments], standalone_mode=False)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


def told(arguments: Sequence[object], columns: int | None = None) -> str:
    """What a command prints on stderr, errors and warnings as well, without progress bars."""
    patch = pytest.MonkeyPatch()
    with patch.context() as here:
        streams = [io.StringIO() if columns is None else Terminal() for _ in range(2)]
        here.setattr(sys, "stdout", streams[0])
        here.setattr(sys, "stderr", streams[1])
        here.setattr(sys, "argv", ["hexconv", *map(str, arguments)])
        here.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
        here.delenv("FORCE_COLOR", raising=False)
        here.setenv("LC_ALL", "C")
        here.setenv("CI", "1")
        if columns is not None:
            here.setenv("COLUMNS", str(columns))
        with warnings.catch_warnings():
            main()
    return re.sub(r"\x1b\[[\d;]*m", "", streams[1].getvalue())


def misfits(
    arguments: Sequence[object],
    columns: int,
    language: str,
    printed: Callable[[Sequence[object], int | None], str] = shown,
) -> list[str]:
    """Lines that are wider than the terminal, or that have a part of a word.

    Args:
        arguments: of the command.
        columns: of the terminal.
        language: "en" or "zh".
        printed: what is looked at: `shown`, or `told`.
    """
    given = [*arguments, "--lang", language]
    try:
        whole = set(WORD.findall(printed(given, None)))
        lines = printed(given, columns).splitlines()
    finally:
        choose("en")
    found = []
    for line in lines:
        words = WORD.findall(re.sub(r"\S*…\S*", "", line))
        longest = max(map(len, words), default=0)
        if (cell_len(line) > columns and longest + 24 <= columns) or set(words) - whole:
            found.append(line)
    return found
