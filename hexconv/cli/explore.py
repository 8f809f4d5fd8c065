"""`hexconv explore`: show the executed graph in Google's Model Explorer, colored by its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hexconv.cli._html import model_and_reports
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say
from hexconv.errors import MissingExtra


@click.command()
@model_and_reports
@click.option(
    "-o",
    "--output",
    type=OutputFolder(),
    help="Folder for the files.  [default: that of the model]",
)
@click.option(
    "--onnx",
    "origin",
    type=click.Path(path_type=Path),
    help="The ONNX model that was converted, for the left pane of two.",
)
@click.option("--no-open", is_flag=True, help="Write the files, start no server.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    model: Path,
    reports: tuple[Path, ...],
    output: Path | None,
    origin: Path | None,
    no_open: bool,
    quiet: bool,
) -> None:
    """Write NAME.explorer.json, the executed graph, and NAME.explorer.packets.json, its packets;
    then open them in Model Explorer (extra `explore`).

    A REPORT.json of `verify --json` adds NAME.explorer.error.json, the error of each node.
    --onnx adds NAME.explorer.onnx.json, the ONNX graph, and NAME.explorer.sync.json, with which
    Model Explorer's sync navigation leads from a node of one to the nodes of the other.
    """
    from hexconv.files import check_folder, write_files
    from hexconv.report import read_report
    from hexconv.report.explorer import explorer_data, explorer_graph
    from hexconv.report.html_page import merged
    from hexconv.report.stored import report_of

    check_folder(output or model.parent)
    explorer = None if no_open else _installed()
    report = merged([report_of(model), *map(read_report, reports)])
    stem = (output or model.parent) / model.stem
    graph = stem.with_name(f"{stem.name}.explorer.json")
    figures = {
        stem.with_name(f"{stem.name}.explorer.{name}.json"): found
        for name, found in explorer_data(report).items()
    }
    graphs = {graph: explorer_graph(report)}
    beside = {} if origin is None else _beside(origin, model, report, stem)
    written = {**graphs, **figures, **beside}
    write_files({path: _json(found) for path, found in written.items()})
    if not quiet:
        say("\n".join(f"written: {path}" for path in written))
    if explorer is not None:
        shown = [{"name": path.stem, "node_data_path": str(path)} for path in figures]
        left = [str(path) for path in beside if path.name.endswith(".onnx.json")]
        explorer.visualize([*left, str(graph)], node_data=shown)


def _beside(
    origin: Path, model: Path, report: Mapping[str, Any], stem: Path
) -> dict[Path, dict[str, Any]]:
    """The ONNX graph, and the file that leads from its nodes to those of the executed graph."""
    import hexconv
    from hexconv.onnx_graph import load
    from hexconv.report.explorer_onnx import onnx_graph, sync_navigation

    shapes = {item.name: item.shape for item in hexconv.load(model).graph.inputs}
    graph = load(origin, shapes)
    return {
        stem.with_name(f"{stem.name}.explorer.onnx.json"): onnx_graph(graph, origin.stem),
        stem.with_name(f"{stem.name}.explorer.sync.json"): sync_navigation(report, graph),
    }


def _installed() -> Any:
    try:
        import model_explorer
    except ImportError as error:
        raise MissingExtra("ai-edge-model-explorer", "explore") from error
    return model_explorer


def _json(found: Mapping[str, Any]) -> bytes:
    return (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode()
