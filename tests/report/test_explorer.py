"""Files for Model Explorer: its own classes read them, and every figure is of a node."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner

from hexconv.cli import group
from hexconv.errors import ConfigError, MissingExtra, ModelError
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
    (folder / "verify.json").write_text(run("verify", *common, "--explain", "--json"))
    arguments = [str(folder / name) for name in ("net.pb", "verify.json")]
    run("explore", *arguments, "--onnx", str(folder / "net.onnx"), "--no-open", "-q")
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
        report["cost"]["packets"], abs=len(packets) / 2
    )
    errors = read(written, ".error")[graph["id"]]["results"]
    assert errors and set(errors) <= ids and set(packets) <= ids
    noise = read(written, ".noise")[graph["id"]]["results"]
    assert set(noise) <= set(errors)
    assert sum(row["value"] for row in noise.values()) == pytest.approx(100, abs=2)


def test_an_onnx_node_has_the_figures_of_the_nodes_that_it_became(written: Path) -> None:
    (graph,), (executed,) = (read(written, name)["graphs"] for name in (".onnx", ""))
    sync, found = read(written, ".sync"), {}
    for name in ("packets", "error", "noise"):
        whole = read(written, f".{name}")[executed["id"]]["results"]
        found[name] = read(written, f".onnx.{name}")[graph["id"]]["results"]
        for entry in sync["mappingEntries"]:
            values = [whole[key]["value"] for key in entry["rightNodeIds"] if key in whole]
            if values:
                shown = found[name][entry["leftNodeIds"][0]]["value"]
                assert shown == (min(values) if name == "error" else pytest.approx(sum(values)))
    assert set(found["packets"]) <= {node["id"] for node in graph["nodes"]}
    assert found["noise"].keys() <= found["error"].keys() <= found["packets"].keys()


def test_sync_navigation_leads_from_onnx_nodes_to_dsp_nodes_and_back(written: Path) -> None:
    (left,), (right,) = (read(written, name)["graphs"] for name in (".onnx", ""))
    sync = read(written, ".sync")
    onnx_ids = {node["id"] for node in left["nodes"]}
    executed = {node["id"]: node for node in right["nodes"]}
    pairs = [
        (name, to)
        for entry in sync["mappingEntries"]
        for name in entry["leftNodeIds"]
        for to in entry["rightNodeIds"]
    ]
    assert {name for name, _ in pairs} <= onnx_ids and len(pairs) == len({to for _, to in pairs})
    for name, to in pairs:
        attrs = {item["key"]: item["value"] for item in executed[to]["attrs"]}
        assert re.fullmatch(rf"{re.escape(name)}([_/].*)?", attrs["ONNX node"])
    named = [node for node in executed.values() if "ONNX node" in {a["key"] for a in node["attrs"]}]
    assert len(named) == len(pairs), "every executed node of an ONNX node is reached"
    assert sync["disableMappingFallback"]


def test_the_onnx_graph_has_every_node_and_its_edges(written: Path) -> None:
    (graph,) = read(written, ".onnx")["graphs"]
    labels = [node["label"] for node in graph["nodes"]]
    assert labels == ["Conv", "Relu", "Conv", "Add", "GlobalAveragePool", "Reshape", "Gemm"]
    ids = {node["id"] for node in graph["nodes"]}
    sources = [edge["sourceNodeId"] for node in graph["nodes"] for edge in node["incomingEdges"]]
    assert set(sources) <= ids and len(sources) >= len(ids) - 1


def test_another_onnx_model_is_an_error(written: Path, tmp_path: Path) -> None:
    graph = onnx.parser.parse_graph("g (float[1,3,12,12] x) => (float[1,3,12,12] y) {y = Relu(x)}")
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    arguments = ["explore", str(written / "net.pb"), "--onnx", str(tmp_path / "other.onnx")]
    result = CliRunner().invoke(group, [*arguments, "--no-open", "-o", str(tmp_path)])
    assert isinstance(result.exception, ConfigError | ModelError)
    assert [path.name for path in tmp_path.iterdir()] == ["other.onnx"]


def test_model_explorer_reads_the_graph_and_the_data(written: Path) -> None:
    pytest.importorskip("model_explorer")
    from dacite import Config, from_dict
    from model_explorer import graph_builder, node_data_builder

    graph = from_dict(graph_builder.GraphCollection, read(written, ""), Config(strict=True))
    assert graph.graphs[0].nodes[1].incomingEdges[0].sourceNodeId == graph.graphs[0].nodes[0].id
    left = from_dict(graph_builder.GraphCollection, read(written, ".onnx"), Config(strict=True))
    assert {node.label for node in left.graphs[0].nodes} >= {"Conv"}
    for name in (".packets", ".error", ".noise", ".onnx.packets", ".onnx.error", ".onnx.noise"):
        for data in read(written, name).values():
            found = from_dict(node_data_builder.GraphNodeData, data, Config(strict=True))
            assert found.results and found.gradient[0].stop == 0.0


def test_model_explorer_knows_the_keys_of_sync_navigation(written: Path) -> None:
    """It has no class for them: its page reads the file."""
    package = pytest.importorskip("model_explorer")
    pages = Path(package.__file__).parent.glob("web_app/*.js")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    sync = read(written, ".sync")
    for key in (*sync, *sync["mappingEntries"][0]):
        assert f".{key}" in text


@pytest.mark.parametrize("beside", [True, False])
def test_model_explorer_opens_each_graph_with_its_own_figures(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    explorer = pytest.importorskip("model_explorer")
    opened = []
    monkeypatch.setattr(explorer, "visualize_from_config", lambda config: opened.append(config))
    model, verified, origin = (str(written / f) for f in ("net.pb", "verify.json", "net.onnx"))
    onnx_options = ["--onnx", origin] if beside else []
    run("explore", model, verified, *onnx_options, "-q", "-o", str(tmp_path))
    state = json.loads(unquote(opened[0].to_url_param_value()))
    labels = [json.loads(Path(m["url"]).read_text())["label"] for m in state["models"]]
    assert labels == (["net.onnx", "net"] if beside else ["net"])
    for path, target in zip(state["nodeData"], state["nodeDataTargets"], strict=True):
        (graph,) = json.loads(Path(path).read_text())
        assert target == graph, "Model Explorer finds the graph of figures by the label"
    assert len(state["nodeData"]) == 3 * len(labels)
    panes = state.get("uiState", {"paneStates": []})["paneStates"]
    assert [pane["selectedGraphId"] for pane in panes] == (labels if beside else [])


@pytest.fixture(scope="module")
def extension() -> Any:
    """Model Explorer with the extension: what its server does with a command."""
    pytest.importorskip("model_explorer")
    from model_explorer.extension_manager import ExtensionManager

    manager = ExtensionManager(["hexconv.explorer"])
    manager.load_extensions()
    return manager


def command(name: str, extension: str, model: Path, **values: str) -> dict[str, Any]:
    """As its page sends it."""
    found = {"cmdId": name, "extensionId": extension, "modelPath": str(model), "settings": {}}
    return {**found, "graphId": "net", "configValues": values}


def test_model_explorer_opens_a_model_by_the_extension(written: Path, extension: Any) -> None:
    found = extension.run_cmd(command("convert", "hexconv", written / "net.pb"))
    (graph,), (expected,) = found["graphs"], read(written, "")["graphs"]
    assert graph["id"] == expected["id"]
    for made, wanted in zip(graph["nodes"], expected["nodes"], strict=True):
        assert {key: made[key] for key in wanted} == wanted
    metadata = {item["id"]: item for item in extension.get_extensions_metadata()}
    assert metadata["hexconv"]["fileExts"] == ["pb"]
    assert metadata["hexconv_figures"]["filter"]["adapterIds"] == ["hexconv"]


def test_the_extension_has_the_figures_of_the_files(written: Path, extension: Any) -> None:
    (editor,) = extension.run_cmd(command("get_config_editors", "hexconv_figures", written))[
        "configEditors"
    ]
    assert editor["type"] == "file"
    model, report = written / "net.pb", str(written / "verify.json")
    run = command("run", "hexconv_figures", model, **{editor["id"]: report})
    names = (".packets", ".error", ".noise")
    for found, name in zip(extension.run_cmd(run)["result"], names, strict=True):
        expected = read(written, name)["net"]
        assert found["name"] == expected["name"]
        assert {key: row["value"] for key, row in found["results"].items()} == {
            key: row["value"] for key, row in expected["results"].items()
        }
    (packets,) = extension.run_cmd(command("run", "hexconv_figures", model))["result"]
    assert packets["name"] == "packets"


def test_the_extension_says_why_it_has_no_figures(written: Path, extension: Any) -> None:
    report = str(written / "net.explorer.json")
    found = extension.run_cmd(command("run", "hexconv_figures", written / "net.pb", report=report))
    assert found["result"] is None and "no report" in found["error"]


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
