"""What a command prints on a terminal of some width, or into a pipe, and whether it fits."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence

import pytest

from hexconv.cli import group
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


def misfits(arguments: Sequence[object], columns: int, language: str) -> list[str]:
    """Lines that are wider than the terminal, or that have a part of a word."""
    given = [*arguments, "--lang", language]
    try:
        whole = set(WORD.findall(shown(given)))
        lines = shown(given, columns).splitlines()
    finally:
        choose("en")
    found = []
    for line in lines:
        words = WORD.findall(re.sub(r"\S*…\S*", "", line))
        longest = max(map(len, words), default=0)
        if (cell_len(line) > columns and longest + 24 <= columns) or set(words) - whole:
            found.append(line)
    return found
