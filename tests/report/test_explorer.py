"""Files for Model Explorer: its own classes read them, and every figure is of a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner

from hexconv.cli import group
from hexconv.errors import ConfigError, MissingExtra
from hexconv.report.explorer import explorer_graph
from tests.compare.nets import convolutions, samples


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `explore` writes of a model that was verified."""
    import numpy as np

    folder = tmp_path_factory.mktemp("explore")
    onnx.save(convolutions(), folder / "net.onnx")
    np.save(folder / "x.npy", np.concatenate([sample["x"] for sample in samples(3)]))
    common = [str(folder / "net.onnx"), "--samples", str(folder / "x.npy")]
    run("convert", *common, "-q", "-o", str(folder))
    (folder / "verify.json").write_text(run("verify", *common, "--json"))
    run("explore", str(folder / "net.pb"), str(folder / "verify.json"), "--no-open", "-q")
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(group, arguments)
    assert result.exception is None, result.exception
    return result.stdout


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"net.explorer{name}.json").read_text())


def test_every_edge_leads_from_a_node_before(written: Path) -> None:
    (graph,) = read(written, "")["graphs"]
    seen: set[str] = set()
    edges = 0
    for node in graph["nodes"]:
        sources = [edge["sourceNodeId"] for edge in node["incomingEdges"]]
        assert set(sources) <= seen
        edges += len(sources)
        seen.add(node["id"])
    assert len(seen) == len(graph["nodes"]) > 3 and edges >= len(seen) - 1


def test_figures_are_of_nodes_and_match_the_report(written: Path) -> None:
    (graph,) = read(written, "")["graphs"]
    ids = {node["id"] for node in graph["nodes"]}
    report = json.loads((written / "net.report.json").read_text())
    packets = read(written, ".packets")[graph["id"]]["results"]
    assert sum(row["value"] for row in packets.values()) == pytest.approx(
        report["cost"]["packets"], abs=1
    )
    errors = read(written, ".error")[graph["id"]]["results"]
    assert errors and set(errors) <= ids and set(packets) <= ids


def test_model_explorer_reads_the_graph_and_the_data(written: Path) -> None:
    pytest.importorskip("model_explorer")
    from dacite import Config, from_dict
    from model_explorer import graph_builder, node_data_builder

    graph = from_dict(graph_builder.GraphCollection, read(written, ""), Config(strict=True))
    assert graph.graphs[0].nodes[1].incomingEdges[0].sourceNodeId == graph.graphs[0].nodes[0].id
    for name in (".packets", ".error"):
        for data in read(written, name).values():
            found = from_dict(node_data_builder.GraphNodeData, data, Config(strict=True))
            assert found.results and found.gradient[0].stop == 0.0


def test_without_model_explorer_the_extra_is_named(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "model_explorer", None)
    result = CliRunner().invoke(group, ["explore", str(written / "net.pb")])
    assert isinstance(result.exception, MissingExtra) and "[explore]" in str(result.exception)


def test_a_report_without_cost_has_no_graph() -> None:
    with pytest.raises(ConfigError, match="no nodes"):
        explorer_graph({"name": "x", "cost": None})
