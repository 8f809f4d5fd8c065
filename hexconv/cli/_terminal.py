"""Terminal output shared by all verbs: lines, tables, and progress.

A terminal gets lines of its width, broken between words, and tables whose names are shortened in
the middle; a file or pipe gets every name whole and every line unbroken.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import click

from hexconv.names import brief, without_control
from hexconv.translation import translated

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from hexconv.settings import Progress as Tick

GAP = 2
"""Blank columns between two columns of a table."""

NARROWEST = 12
"""Columns that a name is not shortened below."""

READABLE = 24
"""Columns of a name below which a column of less weight is left out instead."""

_CHINESE = r"\u2e80-\u9fff\uff00-\uffef"
KEPT = "\u00a0"
"""A space that a line is not broken at; it is shown as any other."""

_UNIT = rf"(?:[{_CHINESE}]|[^\s{_CHINESE}]+)[，。；：、）」]*"
_PIECE = re.compile(rf"{_UNIT}(?:{KEPT}{_UNIT})*")
"""What a line is not broken in: words, or a Chinese character with what must follow it."""

_NUMBER = r"[-+]?[\d,]+(\.\d+)?(e[-+]\d+)?"
_FIGURE = re.compile(rf"({_NUMBER}( to {_NUMBER}| ?%)?)?|-|unknown|exact|no signal|inf|nan")
"""A cell of a column of figures, which is aligned at the right."""


def width_of(*, err: bool = False) -> int | None:
    """Columns of the terminal that a stream is; None for a file or pipe."""
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(stderr=err).width


def say(text: str = "", *, err: bool = False, style: str = "") -> None:
    """Print lines; on a terminal broken between words.

    Args:
        text: one line or more.
        err: on stderr.
        style: a color, or "bold".
    """
    text, width = without_control(translated(brief(text))), width_of(err=err)
    if width is not None:
        text = "\n".join(wrapped(line, width) for line in text.split("\n"))
    if style:
        text = click.style(text, fg=None if style == "bold" else style, bold=style == "bold")
    with _without_bars(), suppress(OSError) if err else nullcontext():
        click.echo(
            text.replace(KEPT, " "), err=err, color=_color()
        )  # the exit code tells of an error as well


def _color() -> bool | None:
    """Whether FORCE_COLOR and NO_COLOR ask for colors or forbid them; None where neither does."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def wrapped(line: str, width: int) -> str:
    """A line in lines of at most `width` columns; a longer word stays whole."""
    if cell_len(line) <= width:
        return line
    start = len(line) - len(line.lstrip())
    hanging = " " * (start or 2)
    lines, ended = [line[:start]], start
    for piece in _PIECE.finditer(line):
        space = line[ended : piece.start()]
        joined = lines[-1] + space + piece[0]
        if cell_len(joined) > width and lines[-1].strip():
            lines.append(hanging + piece[0])
        else:
            lines[-1] = joined
        ended = piece.end()
    return "\n".join(lines)


def middle(text: str, width: int) -> str:
    """A name of at most `width` columns, shortened in the middle."""
    if cell_len(text) <= width:
        return text
    front = (width - 1) // 2
    back = _start(text[::-1], width - 1 - front)[::-1]
    return f"{_start(text, front)}…{back}"


def padded(text: str, width: int) -> str:
    """A text followed by blanks up to a width."""
    return text + " " * (width - cell_len(text))


def cell_len(text: str) -> int:
    """Columns of the terminal that a text takes: Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _start(text: str, width: int) -> str:
    """As much of a text as fits."""
    taken = accumulate(map(cell_len, text))
    return "".join(character for character, end in zip(text, taken, strict=True) if end <= width)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    prose: bool = False,
    whole: bool = False,
    drop: Sequence[str] = (),
) -> None:
    """Print a table; numbers right-aligned, other cells shortened where the terminal is narrow.

    Args:
        heads: of the columns, each of one line or more.
        rows: cells; integers get separators of thousands.
        prose: the last column is text, to be broken between words and not shortened.
        whole: no cell is shortened: a column of text gets the columns that are left.
        drop: heads of the columns that a narrow terminal does without, the first one first.
    """
    if not rows:
        return
    by_column = zip(map(translated, heads), zip(*rows, strict=True), strict=True)
    columns = [_Column.of(head, cells) for head, cells in by_column]
    columns[-1].prose = prose
    width = width_of()
    if width is not None:
        columns = _fitting(columns, width, drop, whole=whole)
    lines = max(column.head.count("\n") for column in columns) + 1 if any(heads) else 0
    with _without_bars():
        for number in range(lines):
            _row([column.title(number) for column in columns], None)
        for number in range(len(rows)):
            _row([column.cell(number) for column in columns], width if prose else None)


@dataclass
class _Column:
    """A column of a table: `wide` columns of the terminal, its texts shortened to that."""

    head: str
    cells: Sequence[str]
    numeric: bool
    wide: int
    prose: bool = False

    @classmethod
    def of(cls, head: str, cells: Sequence[object]) -> _Column:
        texts = [f"{cell:,}" if isinstance(cell, int) else brief(str(cell)) for cell in cells]
        numeric = all(_FIGURE.fullmatch(text) for text in texts)
        if numeric:  # names stay as they are
            texts = [translated(text) for text in texts]
        wide = max(map(cell_len, [*head.split("\n"), *texts]))
        return cls(head, texts, numeric, wide)

    def title(self, number: int) -> str:
        """A line of the heading; short ones stand at the bottom."""
        lines = self.head.split("\n")
        return self._padded(lines[number] if number < len(lines) else "")

    def cell(self, number: int) -> str:
        """A row's cell."""
        text = self.cells[number]
        return translated(text) if self.prose else self._padded(text)

    def _padded(self, text: str) -> str:
        shown = middle(text, self.wide)
        if self.numeric:
            return " " * (self.wide - cell_len(shown)) + shown
        return padded(shown, self.wide)


def _fitting(
    columns: list[_Column], width: int, drop: Sequence[str], *, whole: bool
) -> list[_Column]:
    """The columns that a terminal has room for, their names shortened."""
    if columns[-1].prose:
        columns[-1].wide = min(columns[-1].wide, width // 2)
    names = [column for column in columns if not (column.numeric or column.prose or whole)]
    least = sum(min(c.wide, READABLE) if c in names else c.wide for c in columns)
    if least + GAP * (len(columns) - 1) > width and drop:
        left = [column for column in columns if column.head != translated(drop[0])]
        return _fitting(left, width, drop[1:], whole=whole)
    spare = width - sum(column.wide for column in columns) - GAP * (len(columns) - 1)
    while spare < 0 and names:
        widest = max(names, key=lambda column: column.wide)
        if widest.wide <= NARROWEST:
            break
        widest.wide -= 1
        spare += 1
    return columns


def _row(cells: list[str], width: int | None) -> None:
    """A row; with a width, the text in its last cell goes on below its column."""
    if width is not None:
        start = sum(map(cell_len, cells[:-1])) + GAP * (len(cells) - 1)
        room = max(width - start, NARROWEST)
        text = " ".join(middle(word, room - 2) for word in cells[-1].split(" "))
        lines = wrapped(text, room).split("\n")
        cells[-1] = ("\n" + " " * start).join(line.strip() for line in lines)
    click.echo(without_control((" " * GAP).join(cells).rstrip()).replace(KEPT, " "))


@contextmanager
def stages(*, shown: bool) -> Iterator[Tick]:
    """Progress bars on stderr if it is a terminal: call with (stage, done, total)."""
    if not shown or not _live():
        yield _no_progress
        return
    with _bars() as bars, _remembered(bars):
        tasks: dict[str, TaskID] = {}

        def tick(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    bars.remove_task(task)
                tasks.clear()
                tasks[stage] = bars.add_task(translated(stage), total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield tick


_SHOWN: list[Progress] = []
"""The bars on the terminal."""


@contextmanager
def _remembered(bars: Progress) -> Iterator[None]:
    _SHOWN.append(bars)
    try:
        yield
    finally:
        _SHOWN.remove(bars)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Bars are taken away while something is printed: it would go on in their line."""
    shown, _SHOWN[:] = _SHOWN[:], []
    for bars in shown:
        bars.stop()
    try:
        yield
    finally:
        for bars in shown:
            bars.start()
        _SHOWN[:] = shown


def _no_progress(stage: str, done: int, total: int) -> None:
    """Where nobody watches."""


def _live() -> bool:
    """Whether stderr is a terminal that a person looks at: not a log, whatever colors it has."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Counts(MofNCompleteColumn):
        """How many are done, and of how many where that is known."""

        def render(self, task: Task) -> Text:
            if task.total is not None:
                return super().render(task)
            return Text(f"{int(task.completed)}" if task.completed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        Counts(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
