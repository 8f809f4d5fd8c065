"""`hexconv exact`: the DSP's bits as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexconv.cli._json import emit
from hexconv.cli._output import OutputFile
from hexconv.cli._terminal import say
from hexconv.names import counted
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LIBRARIES, LibraryVersion

if TYPE_CHECKING:
    import onnx


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--library",
    type=click.Choice(LIBRARIES),
    default=DEFAULT_LIBRARY,
    show_default=True,
    help="The library of the phone: v60 SD835, v65 SD845, v66 SD855.",
)
@click.option("-o", "--output", type=OutputFile(), help="Default: MODEL.dsp.onnx beside it.")
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Run one sample here, and compare with the simulator.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    model: Path,
    library: LibraryVersion,
    output: Path | None,
    check: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write MODEL.pb as an ONNX model that returns the bits that the DSP returns.

    Any ONNX Runtime from 1.17 on runs it, from any language. Its nodes are the ops that the DSP
    executes (domain hexconv.nnlib), each defined in the file by standard ONNX ops.
    """
    from hexconv.exact import export
    from hexconv.exact.check import check_exact, serialized
    from hexconv.files import check_file, write_files
    from hexconv.model import load

    target = output if output is not None else model.parent / f"{model.stem}.dsp.onnx"
    check_file(target)
    loaded = load(model)
    proto = export(loaded, library)
    if check:
        check_exact(proto, loaded, library)
    write_files({target: serialized(proto)})
    _show(proto, target, library, check, as_json, quiet)


def _show(
    proto: onnx.ModelProto,
    target: Path,
    library: str,
    checked: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    if as_json:
        found = {
            "files": [str(target)],
            "library": library,
            "node_count": len(proto.graph.node),
            "functions": len(proto.functions),
            "checked": checked,
        }
        emit("exact", found)
    elif not quiet:
        nodes = counted(len(proto.graph.node), "node")
        more = ["the simulator's bits on one sample"] if checked else []
        say(", ".join([f"{target}: {nodes} of {library}", *more]))
