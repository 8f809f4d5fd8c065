"""`hexconv explore`: show the executed graph in Google's Model Explorer, colored by its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import click

from hexconv.cli._html import model_and_reports
from hexconv.cli._output import OutputFolder
from hexconv.cli._terminal import say
from hexconv.errors import MissingExtra
from hexconv.names import encoded


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

    A REPORT.json of `verify --json` adds NAME.explorer.error.json, the error of each node, and one
    of `verify --explain --json` NAME.explorer.noise.json, its share of the outputs' noise.
    --onnx adds NAME.explorer.onnx.json, the ONNX graph, its figures, and NAME.explorer.sync.json,
    with which Model Explorer's sync navigation leads from a node of one to the nodes of the other.
    """
    from hexconv.files import check_folder, write_files
    from hexconv.report import read_report
    from hexconv.report.explorer import explorer_data, explorer_graph
    from hexconv.report.html_page import merged
    from hexconv.report.stored import report_of

    check_folder(output or model.parent)
    explorer = None if no_open else _installed()
    report = merged([report_of(model), *map(read_report, reports)])
    stem = str((output or model.parent) / f"{model.stem}.explorer")
    left = {} if origin is None else _beside(origin, model, report)
    files = {**left, "": explorer_graph(report), **explorer_data(report)}
    written = {name: Path(f"{stem}{'.' if name else ''}{name}.json") for name in files}
    write_files({path: _json(files[name]) for name, path in written.items()})
    if not quiet:
        say("\n".join(f"written: {path}" for path in written.values()))
    if explorer is not None:
        explorer.visualize_from_config(config=_config(explorer, files, written))


def _config(
    explorer: Any, files: Mapping[str, Mapping[str, Any]], written: Mapping[str, Path]
) -> Any:
    """What Model Explorer opens: each graph with its own figures, two in panes side by side."""
    config = explorer.config()
    graphs = [name for name in ("onnx", "") if name in files]
    for graph in graphs:
        config.add_model_from_path(str(written[graph]))
    for name in files:
        if "graphs" not in files[name] and name != "sync":
            label = files["onnx" if name.startswith("onnx.") else ""]["label"]
            config.add_node_data_from_path(str(written[name]), model_name=label)
    if len(graphs) == 2:
        state = json.loads(unquote(config.to_url_param_value()))
        panes = [_pane(files[name]) for name in graphs]
        state |= {"uiState": {"paneStates": panes}, "sync": {"mode": "from_computer"}}
        config.to_url_param_value = lambda: quote(json.dumps(state))
    return config


def _pane(collection: Mapping[str, Any]) -> dict[str, Any]:
    """One of two panes, in the words of Model Explorer's address."""
    (graph,) = collection["graphs"]
    return {
        "deepestExpandedGroupNodeIds": [],
        "selectedNodeId": "",
        "selectedGraphId": graph["id"],
        "selectedCollectionLabel": collection["label"],
        "widthFraction": 0.5,
    }


def _beside(origin: Path, model: Path, report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The ONNX graph, its figures, and the file that leads from its nodes to the executed ones."""
    import hexconv
    from hexconv.onnx_graph import load
    from hexconv.report.explorer_onnx import onnx_data, onnx_graph, sync_navigation

    shapes = {item.name: item.shape for item in hexconv.load(model).graph.inputs}
    graph = load(origin, shapes)
    sync = sync_navigation(report, graph)
    return {
        "onnx": onnx_graph(graph, origin.name),
        **{f"onnx.{name}": found for name, found in onnx_data(report, sync, origin.name).items()},
        "sync": sync,
    }


def _installed() -> Any:
    try:
        import model_explorer
    except ImportError as error:
        raise MissingExtra("ai-edge-model-explorer", "explore") from error
    return model_explorer


def _json(found: Mapping[str, Any]) -> bytes:
    return encoded(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
