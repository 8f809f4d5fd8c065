"""`hexconv mace`: hexconv in place of MACE's converter: convert as it does, run MACE's scripts."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from hexconv.cli._json import emit
from hexconv.cli._options import conversion_options, given_samples
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say
from hexconv.errors import HexconvError

if TYPE_CHECKING:
    from hexconv.mace_workflow.convert import Converted
    from hexconv.settings import SettingsDict


@click.group()
def command() -> None:
    """hexconv inside MACE's own workflow, with MACE's own options.

    MACE reads what hexconv writes from v1.1.1 on.
    """


@command.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A deployment YAML.")
@click.option(
    "--output",
    type=OutputFolder(),
    default=Path("build"),
    show_default=True,
    help="Folder for NAME/model/NAME.pb, .data and .pb_txt, as run_model.py takes it.",
)
@click.option("--enable_micro", is_flag=True, help="An option of MACE's that is not for the DSP.")
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but warnings.")
def convert(
    config: Path,
    output: Path,
    enable_micro: bool,
    samples: tuple[str, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    ranges: Path | None,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Convert every model of a deployment YAML, as MACE's tools/python/convert.py does.

    run_model.py finds the result; give it the YAML that is written beside the model.
    """
    from hexconv.cli._convert_page import warn
    from hexconv.cli._terminal import stages
    from hexconv.mace_workflow.convert import convert_all
    from hexconv.mace_workflow.in_place import NO_MICRO

    if enable_micro:
        raise click.UsageError(NO_MICRO)
    given = given_samples(samples, mean, scale, bgr)
    asked = _settings(settings)
    done = []
    with stages(shown=not (quiet or as_json)) as progress:
        asked["progress"] = progress
        for made in convert_all(config, output, given, ranges, **asked):
            warn(made.model)
            done.append(made)
    if as_json:
        emit("mace", _machine(done))
    elif not quiet:
        for made in done:
            say("\n".join(f"written: {path}" for path in made.files))
            click.echo(f"run_model.py --config {made.config} --output {output}")


@command.command("exec", context_settings={"allow_interspersed_args": False})
@conversion_options
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def exec_command(
    script: Path,
    arguments: tuple[str, ...],
    samples: tuple[str, ...],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    bgr: bool,
    ranges: Path | None,
    **settings: Any,
) -> None:
    """Run a Python SCRIPT of MACE unchanged; ONNX models for the DSP go through hexconv.

    SCRIPT is MACE/tools/python/convert.py, run_model.py, or MACE/tools/converter.py; the arguments
    after it are its own. Options of the conversion are given before it. Models of other platforms
    or for other runtimes go through MACE. MACE's scripts look for MACE's files from the current
    folder: run this in MACE's root.
    """
    from hexconv.mace_workflow.arguments import completed
    from hexconv.mace_workflow.in_place import InPlace
    from hexconv.mace_workflow.old_python import bridge
    from hexconv.mace_workflow.script import mace_root, run_script

    if ranges is not None:
        raise click.UsageError("ranges come from the YAML: change quantize_range_file there")
    asked = _settings(settings)
    root = mace_root(script)
    _tell_folder(root)
    options = completed(script, arguments)
    bridge(root)
    with tempfile.TemporaryDirectory() as folder:
        given = given_samples(samples, mean, scale, bgr)
        in_place = InPlace("--validate" in options, Path(folder), asked, given, _tell)
        try:
            run_script(script, options, in_place.functions(), root)
        except HexconvError:
            raise
        except Exception:
            traceback.print_exc()
            _tell(f"{script.name} failed by itself: the traceback is MACE's")
            sys.exit(1)


def _settings(given: dict[str, Any]) -> SettingsDict:
    if given.pop("shapes"):
        raise click.UsageError("shapes come from the YAML: change input_shapes there")
    return cast("SettingsDict", given)


def _machine(done: list[Converted]) -> dict[str, Any]:
    rows = [
        {
            "name": made.model.name,
            "config": str(made.config),
            "files": [str(path) for path in made.files],
        }
        for made in done
    ]
    return {"models": rows}


def _tell(text: str) -> None:
    say(f"hexconv: {text}", err=True)


def _tell_folder(root: Path) -> None:
    if Path.cwd().resolve() != root:
        _tell(f"MACE's scripts look for files of MACE from the current folder, not from {root}")
