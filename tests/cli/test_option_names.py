"""One name for the library's version, and one for its file, in every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from hexconv.cli import group
from hexconv.nnlib.versions import LIBRARIES


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, by what a user types."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from commands(inner, f"{path} {name}")


ALL = dict(commands(group, "hexconv"))


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (item for item in command.params if isinstance(item, click.Option))


@pytest.mark.parametrize("path", ALL)
def test_a_version_is_given_by_library_and_a_file_by_library_file(path: str) -> None:
    for option in options(ALL[path]):
        choices = set(option.type.choices) if isinstance(option.type, click.Choice) else set()
        if choices & set(LIBRARIES):
            assert option.opts == ["--library"]
        if "libhexagon_nn_skel" in (option.help or ""):
            assert option.opts == ["--library-file"]


def test_the_names_are_used() -> None:
    """Otherwise the test above would hold of anything."""
    versions = {path for path, c in ALL.items() if any("--library" in o.opts for o in options(c))}
    files = {path for path, c in ALL.items() if any("--library-file" in o.opts for o in options(c))}
    assert {"hexconv convert", "hexconv simulate", "hexconv verify", "hexconv cost"} <= versions
    assert {"hexconv verify", "hexconv device run", "hexconv device profile"} <= files


EXAMPLES = {
    "NAME=D,D,...": "x=1,2",
    "NAME=VALUE": "x=1",
    "NAME=MIN,MAX": "x=0,1",
    "NAME=N": "x=2",
    "NAME=AXIS": "x=1",
    "FIGURE=LEAST": "sqnr=20",
    "FIGURE=MOST": "ms=20",
    "FIGURE=AMOUNT": "packets=1%",
    "OUTPUT=INPUT": "new=old",
}


@pytest.mark.parametrize("form", EXAMPLES)
def test_a_name_is_given_once(form: str) -> None:
    """Otherwise one of two values that contradict each other would be ignored."""
    found = [(c, o) for c in ALL.values() for o in options(c) if o.metavar == form]
    assert found
    for command, option in found:
        context = click.Context(command)
        option.process_value(context, (EXAMPLES[form],))
        with pytest.raises(click.BadParameter, match="is given twice"):
            option.process_value(context, (EXAMPLES[form], EXAMPLES[form]))


def test_every_such_option_is_among_them() -> None:
    forms = {str(o.metavar) for c in ALL.values() for o in options(c) if o.multiple}
    assert {form for form in forms if "=" in form} - EXAMPLES.keys() == {
        "METRIC=MOST",  # of a metric that is loaded first; it is read as FIGURE=LEAST is
        "[NAME=]FILE",  # `read_feeds` and `pairs_of` refuse the second
    }
