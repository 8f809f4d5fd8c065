"""Terminal output shared by several verbs: tables, and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], width: int = 200) -> None:
    """Print a table; numbers right-aligned; `width` columns wide in a file or pipe."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False)
    for index, head in enumerate(heads):
        numeric = bool(rows) and isinstance(rows[0][index], int | float)
        grid.add_column(head, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = width
    console.print(grid)


@contextmanager
def stages(doing: str, *, shown: bool) -> Iterator[Callable[[str, int], None]]:
    """Show progress on stderr if it is a terminal: call with (stage, samples done)."""
    from rich.console import Console

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda stage, number: None
        return
    with console.status(doing) as status:
        yield lambda stage, number: status.update(f"{stage}: {number} samples" if number else stage)
