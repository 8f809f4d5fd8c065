"""The command line: one file a verb, found by its name and imported when it is called."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path

import click

from hexconv.errors import HexconvError, HexconvWarning
from hexconv.names import did_you_mean

PRIVATE = "_"


class Verbs(click.Group):
    """The verbs are the modules of this package; each has a `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, by name."""
        files = Path(__file__).parent.glob("*.py")
        return sorted(file.stem for file in files if not file.stem.startswith(PRIVATE))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, None if there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(f"hexconv.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verb where there is none of that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.list_commands(ctx)).strip().capitalize()
            raise click.UsageError(f"{error.message} {hint}".strip(), ctx) from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hexconv")
def group() -> None:
    """ONNX in, a quantized Hexagon DSP model that MACE loads out, proven on the desk.

    Exit codes: 0 done, 1 the model cannot be done, 2 wrong usage or input, 3 a floor that you set
    is not reached.
    """


def main() -> None:
    """Run the command line; every error is one clear message, not a traceback."""
    warnings.simplefilter("ignore", HexconvWarning)  # each verb prints them itself
    try:
        # A command that ends by ctx.exit(code) makes click answer the code.
        sys.exit(group(standalone_mode=False) or 0)
    except HexconvError as error:
        click.echo(f"error: {error.render(cli=True)}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: nothing was written half-way", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
