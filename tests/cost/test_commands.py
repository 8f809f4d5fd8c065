"""`hexconv cost` and `hexconv profile` from outside."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.cost import predict
from hexconv.cost.phones import stored_profile
from hexconv.errors import ConfigError, FileError, FloorError
from hexconv.model import Model
from tests.cost.networks import chain
from tests.cost.test_logs import COUNTERS, PUBLISHED
from tests.report.conftest import Shown


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
    assert "Snapdragon 855" in result.output
    assert "from a DSP at full clock" in result.output and "MiB of heap" in result.output


@pytest.mark.parametrize("by", ["type", "layer", "node"])
def test_csv_has_a_row_for_each(saved: Path, by: str) -> None:
    rows = list(csv.DictReader(StringIO(run("cost", saved, "--csv", "--by", by).stdout)))
    whole = sum(float(row["packets"]) for row in rows)
    graph = chain(["QuantizedMul_8x8to8", "QuantizedRelu_8"])
    assert whole == pytest.approx(predict(graph).packets, rel=0.01)


def test_json_is_for_machines(saved: Path) -> None:
    told = json.loads(run("cost", saved, "--json", "--compare", saved).stdout)
    found = told["cost"]
    assert found["packets"] == told["compare"]["packets"] > 0
    assert found["packets_low"] < found["packets"] < found["packets_high"]
    assert {"id", "name", "op", "packets", "moved", "basis"} <= set(found["nodes"][0])
    ids = [node["id"] for node in found["nodes"]]
    read = [source for node in found["nodes"] for source in node["inputs"]]
    assert read and set(read) <= set(ids) and found["nodes"][0]["inputs"] == []


def test_mace_tables_can_be_read_back_and_compared(saved: Path, tmp_path: Path) -> None:
    text = run("cost", saved, "--mace-tables", "--soc", "sd845").stdout
    log = tmp_path / "said.log"
    log.write_text(text, encoding="utf-8")
    result = run("profile", log, "--against", saved, "--soc", "sd845", "--by", "node", "--json")
    assert result.exit_code == 0, result.output
    profile = json.loads(result.stdout)["profile"]
    assert all(abs(row["change"]) <= 0.001 for row in profile["rows"])
    for node in profile["nodes"]:
        assert node["name"] and node["value"] == pytest.approx(node["predicted"], abs=0.001)
    assert profile["predicted"] == pytest.approx(profile["total"], rel=0.01)
    (tmp_path / "profile.json").write_text(result.stdout)
    page = tmp_path / "page.html"
    assert run("report", saved, tmp_path / "profile.json", "--html", page).exit_code == 0
    measured = Shown(page.read_text(encoding="utf-8")).tables["measured"]
    assert len(measured) == 1 + len(profile["nodes"]) and all(map(all, measured))


def page_of(saved: Path, folder: Path, *arguments: object) -> list[list[str]]:
    """The rows of the page's section on a profile that is read without the model."""
    profile = folder / "alone.json"
    profile.write_text(run("profile", *arguments, "--json").stdout)
    assert "predicted" not in json.loads(profile.read_text())["profile"]
    page = folder / "alone.html"
    assert run("report", saved, profile, "--html", page).exit_code == 0
    return Shown(page.read_text(encoding="utf-8")).tables["measured"][1:]


def test_a_page_has_the_prediction_beside_a_profile_that_was_read_without_the_model(
    saved: Path, tmp_path: Path
) -> None:
    log = tmp_path / "said.log"
    log.write_text(run("cost", saved, "--mace-tables").stdout, encoding="utf-8")
    rows = page_of(saved, tmp_path, log)
    known = json.loads(run("cost", saved, "--json").stdout)["cost"]["nodes"]
    assert len(rows) == len(known)
    assert {row[0] for row in rows} == {node["onnx_node"] or node["name"] for node in known}
    for _, _, predicted, measured in rows:
        assert float(measured) == pytest.approx(float(predicted), abs=0.001)


def test_sums_by_type_have_their_prediction_too(saved: Path, tmp_path: Path) -> None:
    said = run("cost", saved, "--mace-tables").stdout
    log = tmp_path / "sums.log"
    log.write_text(said[said.index("Sort by Duration") - 40 :], encoding="utf-8")
    rows = page_of(saved, tmp_path, log)
    assert rows and all(
        float(measured) == pytest.approx(float(predicted), abs=0.01)
        for *_, predicted, measured in rows
    )


def test_comparing_two_models_names_both(saved: Path) -> None:
    assert "(ratio 1.000)" in run("cost", saved, "--compare", saved).output


@pytest.mark.parametrize("limit", ["packets=4M", "memory=64M", "ms=20", "ms=20,packets=4M"])
def test_figures_below_their_limits_pass(saved: Path, limit: str) -> None:
    assert run("cost", saved, "--fail-above", limit).exit_code == 0


@pytest.mark.parametrize("limit", ["packets=10", "memory=1K", "ms=0.0001"])
def test_a_figure_above_its_limit_is_an_error_that_names_it(saved: Path, limit: str) -> None:
    result = run("cost", saved, "--fail-above", limit)
    assert isinstance(result.exception, FloorError)
    assert limit.partition("=")[0] in str(result.exception)


def test_figures_are_written_in_the_unit_of_their_limits(saved: Path) -> None:
    result = run("cost", saved, "--fail-above", "packets=1K,memory=2M,ms=0.001")
    assert re.search(r"packets is [\d,]{5,}, above 1,000", str(result.exception))
    assert re.search(r"memory is \d+\.\d\d MiB, above 2.00 MiB", str(result.exception))
    assert re.search(r"ms is [\d.]+, above 0.001", str(result.exception))


@pytest.mark.parametrize(
    "limit",
    ["packets", "memory=", "ms=20M", "time=3", "packets=many", "ms=0", "memory=-5", "ms=nan"],
)
def test_a_malformed_limit_is_wrong_usage(saved: Path, limit: str) -> None:
    result = run("cost", saved, "--fail-above", limit)
    assert result.exit_code == 2
    assert "ms=20, memory=64M or packets=4M" in result.output


def test_the_list_of_socs_has_the_library_of_each_and_what_newer_chips_need() -> None:
    result = run("cost", "--soc", "list")
    assert result.exit_code == 0, result.output
    assert "Snapdragon 845" in result.output and "v65" in result.output
    assert "--to qdq" in result.output
    known = json.loads(run("cost", "--soc", "list", "--json").stdout)["socs"]
    assert {item["key"]: item["library"] for item in known}["sd865"] == "v66"


def test_a_soc_that_loads_another_library_is_rejected(saved: Path) -> None:
    result = run("cost", saved, "--soc", "sd845", "--library", "v66")
    assert isinstance(result.exception, ConfigError)
    assert "sd845 loads v65" in str(result.exception)


@pytest.fixture
def phones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of profiles that holds none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "hexconv" / "phones"


MANY = [
    "QuantizedMul_8x8to8",
    "QuantizedRelu_8",
    "QuantizedAdd_8p8to8",
    "QuantizedTanh_8",
    "QuantizedSigmoid_8",
]


def phone_log(tmp_path: Path) -> tuple[Path, Path]:
    """A model, and a log in which every node takes the upper end of its time on an SD845."""
    Model(chain(MANY).renumbered()).save(tmp_path)
    model = next(tmp_path.glob("*.pb"))
    text = run("cost", model, "--soc", "sd845", "--mace-tables").stdout
    log = tmp_path / "phone.log"
    log.write_text(text, encoding="utf-8")
    return model, log


def test_a_phone_that_was_calibrated_predicts_its_own_log(phones: Path, tmp_path: Path) -> None:
    model, log = phone_log(tmp_path)
    command = ["cost", model, "--library", "v65", "--calibrate", log, "--as", "mine"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    profile = stored_profile("mine")
    assert profile is not None and profile.library == "v65"
    assert profile.predicted_ms == pytest.approx(profile.logged_ms, rel=0.1)
    found = json.loads(run("cost", model, "--soc", "mine", "--json").stdout)["cost"]
    assert found["library"] == "v65"
    assert found["milliseconds_low"] <= profile.logged_ms <= found["milliseconds_high"] * 1.1


def test_a_log_of_another_model_does_not_calibrate(phones: Path, saved: Path) -> None:
    result = run("cost", saved, "--calibrate", PUBLISHED, "--as", "mine")
    assert isinstance(result.exception, ConfigError)
    assert "another model" in str(result.exception)
    assert not phones.exists()


def test_a_log_of_cycles_does_not_calibrate(phones: Path, saved: Path, tmp_path: Path) -> None:
    log = tmp_path / "counters.csv"
    log.write_text(COUNTERS, encoding="utf-8")
    result = run("cost", saved, "--calibrate", log, "--as", "mine")
    assert isinstance(result.exception, ConfigError) and "cycles" in str(result.exception)


def test_a_damaged_profile_does_not_hide_the_list(phones: Path) -> None:
    phones.mkdir(parents=True)
    (phones / "broken.yml").write_text("terms: [", encoding="utf-8")
    for arguments in ([], ["--json"]):
        result = run("cost", "--soc", "list", *arguments)
        assert result.exit_code == 0 and "sd865" in result.stdout
        assert "broken.yml" in result.stderr


def test_a_soc_that_is_not_known_may_be_too_new_for_the_library(saved: Path) -> None:
    assert "--to qdq" in str(run("cost", saved, "--soc", "sd888").exception)


def test_a_damaged_profile_is_named(phones: Path, saved: Path) -> None:
    phones.mkdir(parents=True)
    (phones / "mine.yml").write_text("name: mine\n", encoding="utf-8")
    result = run("cost", saved, "--soc", "mine")
    assert isinstance(result.exception, FileError) and "mine.yml" in str(result.exception)


def test_calibrate_needs_a_name(saved: Path) -> None:
    assert run("cost", saved, "--calibrate", PUBLISHED).exit_code == 2


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
