"""The command line: one file per verb, found by its name and imported when it is called."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import click

from hexconv import __version__
from hexconv.cli._help import choose_language, completed
from hexconv.cli._json import emit_error, start
from hexconv.cli._terminal import say
from hexconv.distribution import NAME, REINSTALL, foreign
from hexconv.errors import (
    ConfigError,
    HexconvError,
    HexconvWarning,
    SampleWarning,
    too_little_memory,
)
from hexconv.names import did_you_mean
from hexconv.translation import translated

PRIVATE = "_"
FOLDER = Path(__file__).parent


def summary(verb: str) -> str:
    """What a verb does, from the first line of its file: "`hexconv VERB`: what it does."."""
    with (FOLDER / f"{verb}.py").open(encoding="utf-8") as file:
        line = file.readline()
    text = line.partition(": ")[2].rstrip().removesuffix('"""')
    return text[:1].upper() + text[1:].removesuffix(".")


class Verbs(click.Group):
    """The verbs are the modules of this package; each has a `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, by name."""
        files = FOLDER.glob("*.py")
        return sorted(file.stem for file in files if not file.stem.startswith(PRIVATE))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, None if there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(f"hexconv.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return completed(command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with its one line, none of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary(verb)) for verb in self.list_commands(ctx)])

    def main(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:
        """As click does, in the language of `--lang` or of the locale."""
        given = list(sys.argv[1:] if args is None else args)
        choose_language(given, os.environ)
        completed(self)
        return super().main(given, *more, **settings)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verb suggested for an unknown name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.list_commands(ctx)).strip().capitalize()
            raise click.UsageError(f"{error.message} {hint}".strip(), ctx) from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hexconv")
def group() -> None:
    """ONNX in, a quantized Hexagon DSP model that MACE loads out, verified without a phone.

    Exit codes: 0 success, 1 the model is unsupported or the work failed, 2 wrong usage or input,
    3 a threshold that you set is not reached, or what you compare differs.
    """


def _write_utf8() -> None:
    """Write UTF-8 in any case: a console or pipe of another code page has no Chinese.

    File names that are not UTF-8 are written out, as in errors.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _check_installation() -> None:
    other = foreign()
    if other is not None:
        raise ConfigError(
            f"another package, '{other}', is installed into the folder of {NAME}",
            where=str(FOLDER.parent),
            why="each overwrites files of the other, and either breaks when one is removed",
            hint=REINSTALL,
        )


def main() -> int:
    """Run the command line; every error is one clear message, not a traceback.

    Returns:
        The exit code.

    Raises:
        KeyboardInterrupt: the user interrupts it.
        OSError: stdout cannot be written.
    """
    warnings.simplefilter("ignore", HexconvWarning)  # each verb prints them itself
    warnings.simplefilter("default", SampleWarning)
    warnings.showwarning = _show_warning
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no home: its cache is elsewhere
    _SHOWN.clear()
    start()
    _write_utf8()
    try:
        _check_installation()
        # A command that ends by ctx.exit(code) makes click return the code.
        return int(group(standalone_mode=False) or 0)
    except HexconvError as error:
        return _failed(error)
    except MemoryError as error:
        return _failed(too_little_memory(error))
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except click.ClickException as error:
        emit_error(error)
        _show(error)
        return error.exit_code


def _failed(error: HexconvError) -> int:
    """One clear message on stderr, and with --json a document on stdout; the exit code."""
    emit_error(error)
    say(translated("error: ") + translated(error.render(cli=True)), err=True)
    return error.exit_code


_SHOWN: set[str] = set()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """As Python shows warnings; hexconv's own once, and without the line of its code."""
    if issubclass(category, HexconvWarning):
        text = f"warning: {message}"
        if text not in _SHOWN:
            _SHOWN.add(text)
            say(text, err=True, style="yellow")
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _show(error: click.ClickException) -> None:
    """As click does, broken between words; of a group without a command, its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(error.ctx.get_usage(), err=True)
        hint = translated("Try '{command} {option}' for help.")
        say(hint.format(command=error.ctx.command_path, option="--help"), err=True)
    say(translated("Error: ") + translated(error.format_message()), err=True)
