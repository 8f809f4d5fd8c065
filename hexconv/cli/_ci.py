"""`--junit` and `--summary`: what a command found, for CI."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from hexconv.cli._json import kept
from hexconv.cli._output import OutputFile
from hexconv.errors import ConfigError, FileError, FloorError, HexconvError, system_reason

VARIABLE = "GITHUB_STEP_SUMMARY"
AnyCommand = Callable[..., Any]


def ci_options(function: AnyCommand) -> AnyCommand:
    """Both options, for a command that keeps a document (`_json.emit`)."""

    @functools.wraps(function)
    def run(*arguments: Any, junit: Path | None, summary: bool, **options: Any) -> Any:
        target = _summary_file() if summary else None
        try:
            result = function(*arguments, **options)
        except HexconvError as error:
            _write(junit, target, error)
            raise
        except (SystemExit, click.exceptions.Exit):
            _write(junit, target)
            raise
        _write(junit, target)
        return result

    junit = click.option(
        "--junit",
        type=OutputFile(),
        metavar="FILE.xml",
        help="Write the result as JUnit XML too, an error as well.",
    )
    summary = click.option(
        "--summary",
        is_flag=True,
        help="Append the result as Markdown to the file that GITHUB_STEP_SUMMARY names.",
    )
    return junit(summary(run))


def _summary_file() -> Path:
    name = os.environ.get(VARIABLE)
    if not name:
        raise ConfigError(
            "--summary has no file to write to",
            why=f"the environment variable {VARIABLE} is not set: GitHub Actions sets it",
            hint=f"elsewhere set it to a file: {VARIABLE}=summary.md",
        )
    path = Path(name)
    _append(path, "")  # before the work, not after it
    return path


def _write(junit: Path | None, summary: Path | None, error: HexconvError | None = None) -> None:
    """Write what was asked for, of the document that the command kept or of its error."""
    if junit is None and summary is None:
        return
    from hexconv.files import write_files
    from hexconv.report import junit_xml, markdown
    from hexconv.schema import error_document

    found: Mapping[str, Any] | None = kept()
    if error is not None and not (found and isinstance(error, FloorError)):
        found = {**(found or {}), **error_document(error)}
    if found is None:
        raise click.UsageError("--junit and --summary do not go with the other options given")
    if junit is not None:
        write_files({junit: junit_xml(found)})
    if summary is not None:
        _append(summary, markdown(found))


def _opened(path: str, flags: int) -> int:
    """A descriptor; of a pipe that nobody reads an error, where `open` would wait for a reader."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def _append(path: Path, text: str) -> None:
    """Append all of a text, or nothing."""
    length = None
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace", opener=_opened) as file:
            length = os.fstat(file.fileno()).st_size
            file.write(text)
    except OSError as error:
        if length is not None:
            with suppress(OSError):
                os.truncate(path, length)
        why = system_reason(error)
        raise FileError("the summary cannot be written", where=str(path), why=why) from error
