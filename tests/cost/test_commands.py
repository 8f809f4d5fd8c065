"""`hexconv cost` and `hexconv profile` from outside."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.cost import predict
from hexconv.model import Model
from tests.cost.networks import chain
from tests.cost.test_logs import COUNTERS, PUBLISHED


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in MACE's files."""
    folder = tmp_path_factory.mktemp("model")
    graph = chain(["QuantizedMul_8x8to8", "QuantizedRelu_8"]).renumbered()
    Model(graph).save(folder)
    return folder / "chain.pb"


def run(*args: object) -> Result:
    return CliRunner().invoke(group, [str(arg) for arg in args])


def test_a_prediction_prints_its_sum_and_its_range(saved: Path) -> None:
    result = run("cost", saved)
    assert result.exit_code == 0, result.output
    assert "nodes after prepare" in result.output
    assert "Snapdragon 855" in result.output and "between" in result.output


@pytest.mark.parametrize("by", ["type", "layer", "node"])
def test_csv_has_a_row_for_each(saved: Path, by: str) -> None:
    rows = list(csv.DictReader(StringIO(run("cost", saved, "--csv", "--by", by).stdout)))
    whole = sum(float(row["packets"]) for row in rows)
    graph = chain(["QuantizedMul_8x8to8", "QuantizedRelu_8"])
    assert whole == pytest.approx(predict(graph).packets, rel=0.01)


def test_json_is_for_machines(saved: Path) -> None:
    found = json.loads(run("cost", saved, "--json", "--compare", saved).stdout)
    assert found["packets"] == found["compare"]["packets"] > 0
    assert found["packets_low"] < found["packets"] < found["packets_high"]
    assert {"id", "name", "op", "packets", "moved", "basis"} <= set(found["nodes"][0])


def test_mace_tables_can_be_read_back_and_compared(saved: Path, tmp_path: Path) -> None:
    text = run("cost", saved, "--mace-tables", "--soc", "sd845").stdout
    log = tmp_path / "said.log"
    log.write_text(text, encoding="utf-8")
    result = run("profile", log, "--against", saved, "--soc", "sd845", "--by", "node", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert all(abs(row["change"]) <= 0.001 for row in rows)


def test_comparing_two_models_names_both(saved: Path) -> None:
    assert "(ratio 1.000)" in run("cost", saved, "--compare", saved).output


def test_a_profile_prints_sums_and_advice() -> None:
    result = run("profile", PUBLISHED)
    assert result.exit_code == 0, result.output
    assert "419 nodes, 97.502 ms" in result.output
    assert "QuantizedDiv_8 is 45%" in result.output


def test_layers_come_from_the_names_in_the_counters(tmp_path: Path) -> None:
    log = tmp_path / "counters.csv"
    log.write_text(COUNTERS, encoding="utf-8")
    rows = list(csv.DictReader(StringIO(run("profile", log, "--by", "layer", "--csv").stdout)))
    assert rows[0]["layer"] == "conv1, out"
    assert float(rows[0]["cycles"]) == 45000


def test_layers_without_names_ask_for_the_model(saved: Path, tmp_path: Path) -> None:
    log = tmp_path / "said.log"
    log.write_text(run("cost", saved, "--mace-tables").stdout, encoding="utf-8")
    result = run("profile", log, "--by", "layer")
    assert result.exit_code == 2
    assert "--against" in result.output


def test_cycles_and_milliseconds_are_not_compared(tmp_path: Path) -> None:
    log = tmp_path / "counters.csv"
    log.write_text(COUNTERS, encoding="utf-8")
    result = run("profile", log, "--compare", PUBLISHED)
    assert result.exit_code == 2
    assert "cycles" in result.output


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_chart_is_the_same_each_time(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    charts = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for chart in charts:
        assert run("profile", PUBLISHED, "--chart", chart, "-q").exit_code == 0
    assert charts[0].read_bytes() == charts[1].read_bytes() != b""


def test_another_kind_of_chart_is_rejected(tmp_path: Path) -> None:
    result = run("profile", PUBLISHED, "--chart", tmp_path / "chart.gif")
    assert "svg" in str(result.exception)
