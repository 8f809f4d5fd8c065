"""Opens a NAME.pb in Model Explorer: the executed graph, and figures to color its nodes by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dacite import from_dict
from model_explorer import (
    Adapter,
    AdapterMetadata,
    GetConfigEditorsResult,
    ModelExplorerGraphs,
    NodeDataProvider,
    NodeDataProviderFilter,
    NodeDataProviderMetadata,
    NodeDataProviderResult,
)
from model_explorer.config_editor import FileConfigEditor
from model_explorer.graph_builder import Graph
from model_explorer.node_data_builder import GraphNodeData

from hexconv.errors import HexconvError
from hexconv.report.diff import read_report
from hexconv.report.explorer import explorer_data, explorer_graph
from hexconv.report.html_page import merged
from hexconv.report.stored import report_of
from hexconv.translation import choose, of_locale, translated

choose(of_locale(os.environ))
SOURCE = "https://github.com/hexconv/hexconv"
ADAPTER = "hexconv"
EXTENSIONS = ["pb"]


class ModelAdapter(Adapter):  # type: ignore[misc]  # Model Explorer has no types
    """Reads a NAME.pb with its NAME.data, as MACE loads it."""

    metadata = AdapterMetadata(
        id=ADAPTER,
        name="hexconv",
        description=translated("The nodes that the Hexagon DSP executes of a NAME.pb for MACE."),
        source_repo=SOURCE,
        fileExts=EXTENSIONS,
    )

    def convert(self, model_path: str, settings: Mapping[str, Any]) -> ModelExplorerGraphs:
        """The graph of nodes after the library's prepare.

        Args:
            model_path: of the `.pb`.
            settings: of Model Explorer; none is used.

        Raises:
            HexconvError: the model cannot be read.
        """
        (graph,) = explorer_graph(report_of(Path(model_path)))["graphs"]
        return {"graphs": [from_dict(Graph, graph)]}


class Figures(NodeDataProvider):  # type: ignore[misc]
    """Packets of each node; with a report of `verify --json` its error and share of the noise."""

    metadata = NodeDataProviderMetadata(
        id="hexconv_figures",
        name=translated("hexconv: packets, error, noise"),
        description=translated("What each node costs and loses."),
        source_repo=SOURCE,
        icon="speed",
        filter=NodeDataProviderFilter(modelFileExts=EXTENSIONS, adapterIds=[ADAPTER]),
    )

    def get_config_editors(self, provider_id: str) -> GetConfigEditorsResult:
        """What Model Explorer asks for before a run."""
        report = FileConfigEditor(
            id="report",
            label=translated("Report of verify"),
            description=translated(
                "Of verify --json, or of verify --explain --json; packets need none."
            ),
            fileExts=["json"],
        )
        return GetConfigEditorsResult(configEditors=[report])

    def run(
        self,
        provider_id: str,
        model_path: str,
        graph_id: str,
        config_values: Mapping[str, Any],
        graph: Graph | None,
    ) -> NodeDataProviderResult:
        """Every figure that the model and the report have; why there is none.

        Args:
            provider_id: of these figures.
            model_path: of the `.pb`.
            graph_id: of its graph.
            config_values: "report": the path of a report; missing or empty without one.
            graph: as Model Explorer shows it.
        """
        added = config_values.get("report")
        try:
            reports = [report_of(Path(model_path)), *([read_report(added)] if added else [])]
            found = explorer_data(merged(reports))
        except HexconvError as error:
            return NodeDataProviderResult(error=translated(str(error)))
        figures = [from_dict(GraphNodeData, data[graph_id]) for data in found.values()]
        return NodeDataProviderResult(result=figures)
