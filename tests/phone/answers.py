"""Results of commands, as tests read them."""

from __future__ import annotations

from click.testing import Result

from hexconv.errors import HexconvError

from .conftest import run

FOLDER = "/data/local/tmp/hexconv/net"


def done(result: Result) -> str:
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def failing(*arguments: object, said: str, code: int = 1) -> str:
    """The text of the one clear error that a command ends in."""
    result = run(*arguments)
    assert isinstance(result.exception, HexconvError), result.exception or result.output
    text = result.exception.render(cli=True)
    assert said in text, text
    assert result.exception.exit_code == code
    return text
