"""What every command has besides its own options: `--lang`, examples, help in Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc

import click

from hexconv.cli._examples import epilog
from hexconv.cli._terminal import wrapped
from hexconv.translation import LANGUAGES, choose, is_message, known, of_locale, translated

COLUMN = 30
"""Columns of the terminal that the names of options take at most."""


def choose_language(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """The language of `--lang`, else of the locale: known before any command is looked up."""
    wanted = of_locale(environment)
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if flag == "--lang":
            wanted = value
        elif flag.startswith("--lang="):
            wanted = flag.partition("=")[2]
    choose(wanted)


def lang_option() -> click.Option:
    """`--lang`, which `choose_language` has read already."""
    return click.Option(
        ["--lang"],
        type=click.Choice(LANGUAGES),
        expose_value=False,
        help="Language of messages; by default that of the locale.",
    )


def completed(command: click.Command, name: str = "") -> click.Command:
    """A command with `--lang` and examples, its help in the language that was chosen."""
    if all(param.name != "lang" for param in command.params):
        command.params.append(lang_option())
    command.epilog = epilog(name, translated("Examples:"))
    command.context_class = HelpContext
    if isinstance(command, click.Group):
        for below, inner in command.commands.items():
            inner.short_help = " ".join(cleandoc(inner.help or "").split("\n\n")[0].split())
            completed(inner, f"{name} {below}".strip())
    return command


class Formatter(click.HelpFormatter):
    """click's, with messages translated, and Chinese broken where Chinese is."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """As click does."""
        super().write_usage(prog, args, translated("Usage: ") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        """As click does."""
        super().write_heading(translated(heading))

    def write_text(self, text: str) -> None:
        """Paragraphs; what follows \\b is kept as it is."""
        for paragraph in cleandoc(text).split("\n\n"):
            if paragraph.startswith("\b\n"):
                self._lines(paragraph[2:])
            else:
                self._lines(translated(" ".join(paragraph.split())))
            self.write("\n")
        self.buffer.pop()

    def _lines(self, text: str) -> None:
        indent = " " * self.current_indent
        for line in text.split("\n"):
            first, *others = wrapped(line, self.width - len(indent)).split("\n")
            self.write("".join(f"{indent}{part}\n" for part in [first, *map(str.strip, others)]))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = COLUMN, col_spacing: int = 2
    ) -> None:
        """Names at the left, their texts at the right."""
        rows = list(rows)
        left = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        for name, text in rows:
            start = f"{'':>{self.current_indent}}{name}"
            self.write(start)
            column = self.current_indent + left
            room = max(self.width - column, 10)
            lines = [line.strip() for line in wrapped(_help(text), room).split("\n") if text]
            if lines and len(start) > column - col_spacing:
                self.write("\n" + " " * column)
            elif lines:
                self.write(" " * (column - len(start)))
            self.write(("\n" + " " * column).join(lines) + "\n")


def _help(text: str) -> str:
    """The help of an option; what click adds in brackets is translated by click."""
    said, bracket, added = text.rpartition("  [")
    if bracket and not is_message(text) and (known(said) is not None or known(text) is None):
        return translated(said) + bracket + added
    return translated(text)


class HelpContext(click.Context):
    """A context whose help is written by `Formatter`."""

    formatter_class = Formatter
