"""`--json`: one document of the schema on stdout, whatever happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import click

from hexconv.errors import ConfigError, HexconvError

_printed: list[str] = []
"""The kinds of the documents that this run has printed: an error after one is on stderr alone."""


def start() -> None:
    """Begin a run: a process may have several."""
    _printed.clear()


KEPT = "hexconv.document"
"""Under which click's context holds the document of the command."""


def emit(kind: str, body: Mapping[str, Any], *, shown: bool = True) -> None:
    """Keep the document of a command for `kept`, and print it.

    Args:
        kind: of the schema's `kind`.
        body: its keys, plain data.
        shown: whether to print it.
    """
    from hexconv.schema import document

    found = document(kind, body)
    click.get_current_context().meta[KEPT] = found
    if shown:
        _write(found)


def kept() -> Mapping[str, Any] | None:
    """The document of the running command; None before there is one."""
    found: Mapping[str, Any] | None = click.get_current_context().meta.get(KEPT)
    return found


def emit_error(error: HexconvError | click.ClickException) -> None:
    """Print an error as a document, where a document was asked for and none was printed."""
    from hexconv.schema import error_document

    if asked(sys.argv[1:]) and not _printed:
        _write(error_document(_of_click(error)))


def asked(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON; usage errors leave no parsed option to look at."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    form = ("--format", "json") in pairwise(options) or "--format=json" in options
    return form or "--json" in options


def _write(found: Mapping[str, Any]) -> None:
    _printed.append(str(found["kind"]))
    click.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))


def _of_click(error: HexconvError | click.ClickException) -> HexconvError:
    """Wrong usage that click found, as an error with its exit code."""
    if isinstance(error, HexconvError):
        return error
    return UsageError(error.format_message())


class UsageError(ConfigError):
    """A command line that is wrong: an unknown option, a missing argument."""
