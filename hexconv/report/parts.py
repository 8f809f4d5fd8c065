"""What the HTML report is made of: cards, sections, tables with their charts, in two languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hexconv.translation import chinese


class Text(NamedTuple):
    """A text of the page in both languages."""

    en: str
    zh: str


class Column(NamedTuple):
    """A column of a table.

    Args:
        title: its heading.
        kind: how its cells are shown: "text", "number", "integer", "share", "bytes" or "db".
    """

    title: Text
    kind: str = "text"


@dataclass(frozen=True)
class Card:
    """One of the statements on the first screen.

    Attributes:
        id: of its element.
        title: the question.
        value: the statement.
        detail: what it is based on.
        state: "good", "warn", "bad" or "plain".
        link: id of the section that has more; empty for none.
    """

    id: str
    title: Text
    value: Text
    detail: Text
    state: str = "plain"
    link: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the page: a table, and the chart of its rows.

    Attributes:
        id: of its element: the page's address with `#id` leads to it.
        title: its heading.
        note: what it shows.
        columns: of the table.
        rows: cells of plain data; None where there is no figure.
        chart: {"type": ..., and which columns it draws}; empty for none.
        details: rows of the chart that the table has no cells for.
    """

    id: str
    title: Text
    note: Text
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    chart: Mapping[str, Any] = field(default_factory=dict)
    details: Sequence[Any] = ()


def same(text: str) -> Text:
    """Text that is the same in both languages: a name, a number."""
    return Text(text, text)


def message(text: str) -> Text:
    """A message of the program, which a report has in English: from the catalogue in Chinese."""
    return Text(text, chinese(text))


NAME = Column(Text("name", "名称"))
OP = Column(Text("op", "算子"))
LAYER = Column(Text("ONNX node", "ONNX 节点"))
PACKETS = Column(Text("packets", "指令包"), "integer")
