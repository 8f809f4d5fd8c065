"""Notebook representations of objects: small HTML tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST_ROWS = 30


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of at most `MOST_ROWS` rows; every cell is escaped.

    Args:
        title: above the table.
        heads: one per column.
        rows: cells; numbers are right-aligned.
    """
    listed = list(rows)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in listed[:MOST_ROWS])
    more = len(listed) - MOST_ROWS
    foot = f"<p>and {more} more</p>" if more > 0 else ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return (
        f"<p><b>{escape(title)}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{foot}"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        value = f"{value:,.1f}"
    elif isinstance(value, int):
        value = f"{value:,}"
    else:
        return f"<td>{escape(str(value))}</td>"
    return f'<td style="text-align:right">{value}</td>'
