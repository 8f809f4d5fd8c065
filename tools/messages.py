"""Collects the program's messages from its source, and keeps the catalogue of translations.

    python tools/messages.py            # update hexconv.po from the source, compile hexconv.mo
    python tools/messages.py --missing  # print the messages that have no translation

A message is a string of two words or more, an f-string with its values as `{name}`, a paragraph of
a command's help, or one of WORDS. What is not for people is left out: docstrings, patterns, code
that is generated, texts of the HTML report, which have both languages.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hexconv"
CATALOGUE = PACKAGE / "locale" / "zh" / "LC_MESSAGES" / "hexconv.po"
NOT_MESSAGES = (
    "cli/_examples.py",
    "compare/agreement.py",
    "cpp/platforms.py",
    "device/rewrite/forms.py",
    "locale",
    "mace/proto.py",
    "notebook.py",
    "op_pages.py",
    "option_names.py",
    "report/page",
    "translation.py",
)
"""Modules whose strings are commands, instructions, HTML or data, or that write pages in both
languages themselves."""

PROSE = re.compile(r"[A-Za-z]{2,}[,;:.)]* (\(|')?[A-Za-z{]|\} [a-z]{2,}|[a-z]{3,}:? '?\{")
QUIET_CALLS = {"compile", "fullmatch", "match", "sub", "search", "getLogger", "debug", "info"}
WORDS = """
accum. accuracy add backend best bytes calibr. calibrate calibration cases change check clipped
close converting cosine difference error exact failed frames held-out hint hint: input layer level
levels
library max mean name node nodes nothing on op ops: output own packets predicted rewrites samples
purpose MACs/packet search share recognized rewritten decomposed calibrated fused transposes
arithmetic clipping rounding weights option instructions main tensor thread
compare prepare profile run simulate type unsupported used warning where why written
MISSING compiler containment emulator ok runner self-test
"""
CLICK = """
error:
where: {text}
why: {text}
close: |x - y| <= {ATOL} + {RTOL} |x|
share %
(Did you mean one of: {possibilities}?)
See --mean.
with later firmware
{value} is not one of {choices}.
Commands
Options
Error:
Examples:
Usage:
Arguments
Show this message and exit.
Show the version and exit.
Missing argument
Missing option
Missing parameter
default: {default}
required
env var: {var}
No such command {name!r}.
No such option {name!r}.
Missing command.
Got unexpected extra argument ({args})
Got unexpected extra arguments ({args})
Option {name!r} requires an argument.
Option {name!r} does not take a value.
Invalid value: {message}
Invalid value for {param_hint}: {message}
{value!r} is not a valid {number_type}.
{value} is not in the range {range}.
{value!r} is not one of {choices}.
{value!r} is not {choice}.
Did you mean {possibility}?
(Possible options: {possibilities})
Try '{command} {option}' for help.
""".strip().split("\n")
"""Labels of errors, and messages of click, which looks them up in the same catalogue."""


MEANING = re.compile(r'^  meaning: "(.*)"$', re.MULTILINE)


def messages() -> dict[str, str]:
    """Every message of the source with the file where it is first."""
    text = (ROOT / "op_tables" / "cost" / "soc.yml").read_text(encoding="utf-8")
    found = dict.fromkeys(MEANING.findall(text), "op_tables/cost/soc.yml")
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(NOT_MESSAGES):
            for text in _of_module(ast.parse(path.read_text(encoding="utf-8")), name):
                found.setdefault(text, name)
    for text in (*WORDS.split(), *CLICK):
        found.setdefault(text, "tools/messages.py")
    return found


def _of_module(tree: ast.Module, name: str) -> Iterator[str]:
    hidden = {id(node) for node in ast.walk(tree) if _is_hidden(node)}
    documents = {id(text) for text in map(_document, ast.walk(tree)) if text is not None}
    if name.startswith("cli/"):
        yield from _summary(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and _is_command(node):
                yield from _paragraphs(ast.get_docstring(node) or "")
    yield from _texts(tree, hidden | documents)


def _texts(node: ast.AST, skipped: set[int]) -> Iterator[str]:
    """The messages below a node; a whole one before its parts."""
    if id(node) in skipped:
        return
    text = template(node)
    if text is not None:
        for line in text.split("\n"):
            if PROSE.search(line):
                yield " ".join(line.split(" ")).strip()
        if isinstance(node, ast.JoinedStr):
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from _texts(value.value, skipped)
        return
    if isinstance(node, ast.Call) and _called(node) == "counted":
        yield from _counted(node)
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, skipped)


def template(node: ast.AST) -> str | None:
    """The text of a string or f-string, its values as `{name}`; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    text, taken = "", set[str]()
    for value in node.values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
        elif isinstance(value, ast.FormattedValue):
            name = wanted = _name(value.value)
            while name in taken:
                name = f"{wanted}{len(taken)}"
            taken.add(name)
            text += f"{{{name}}}"
    return text


def _name(node: ast.expr) -> str:
    """What a value is called in a message."""
    if isinstance(node, ast.Name):
        return node.id.strip("_") or "value"
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Call) and node.args:
        return _name(node.args[0])
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Call):
        return _name(node.func)
    return "value"


def _counted(node: ast.Call) -> Iterator[str]:
    """`counted(n, "node")`: one, and many."""
    nouns = [arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)]
    if nouns:
        yield f"1 {nouns[0]}"
        yield f"{{count}} {nouns[1] if len(nouns) > 1 else f'{nouns[0]}s'}"


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_hidden(node: ast.AST) -> bool:
    """What holds no message: patterns, types, what asserts say, public names of a module."""
    if isinstance(node, ast.Call):
        return _called(node) in QUIET_CALLS or _called(node) == "Text"  # has both languages
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    return isinstance(node, ast.arguments) and not node.defaults


def _document(node: ast.AST) -> ast.expr | None:
    """The text of a docstring, or of a string below a constant that documents it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value
    return None


def _is_command(node: ast.FunctionDef) -> bool:
    """Whether click shows its docstring."""
    calls = [item.func for item in node.decorator_list if isinstance(item, ast.Call)]
    return any(
        isinstance(call, ast.Attribute) and call.attr in ("command", "group") for call in calls
    )


def _summary(tree: ast.Module) -> Iterator[str]:
    """The line of a command in the list of all."""
    text = (ast.get_docstring(tree) or "").split("\n")[0].partition("`: ")[2].removesuffix(".")
    if text:
        yield text[:1].upper() + text[1:]


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in cleandoc(text).split("\n\n"):
        yield " ".join(paragraph.split())


def main() -> None:
    """Update the catalogue, or print what it lacks."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po, write_po

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="print what has no translation")
    missing = parser.parse_args().missing
    old = {}
    if CATALOGUE.exists():
        with CATALOGUE.open("rb") as file:
            old = {entry.id: entry.string for entry in read_po(file) if entry.id}
    if missing:
        print("\n".join(text for text in messages() if not old.get(text)))
        return
    made = Catalog(locale="zh", domain="hexconv", fuzzy=False, charset="utf-8")
    for text, name in messages().items():
        made.add(text, old.get(text, ""), locations=[(name, 0)] if "/" in name else [])
    with CATALOGUE.open("wb") as file:
        write_po(file, made, width=0, omit_header=True, sort_output=True)
    with CATALOGUE.with_suffix(".mo").open("wb") as file:
        write_mo(file, made)


if __name__ == "__main__":
    main()
