"""Options that say something of each name: a name is given once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import click

T = TypeVar("T")


def by_name(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """{name: value}.

    Raises:
        click.BadParameter: a name is given twice: one of the values would be ignored.
    """
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise click.BadParameter(f"'{name}' is given twice")
        found[name] = value
    return found
