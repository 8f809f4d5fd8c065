"""`hexconv verify`: tables, JSON, CSV, floors for CI; clear errors."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from hexconv.cli import group
from hexconv.errors import HexconvError
from tests.compare.nets import convolutions, samples


def run(*arguments: object) -> Result:
    """The command's result; its errors are raised."""
    return CliRunner().invoke(
        group, ["verify", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and two folders of samples."""
    folder = tmp_path_factory.mktemp("verify")
    onnx.save(convolutions(), folder / "net.onnx")
    for name, seed in (("calib", 0), ("held", 9)):
        (folder / name).mkdir()
        for number, sample in enumerate(samples(3, seed)):
            np.save(folder / name / f"{number}.npy", sample["x"])
    return folder


def usual(place: Path) -> list[object]:
    return [place / "net.onnx", "--samples", place / "calib", "--test", place / "held"]


def test_the_table_has_outputs_and_layers_and_says_what_close_means(place: Path) -> None:
    result = run(*usual(place))
    assert result.exit_code == 0
    for text in ("scores", "held-out", "second", "0.0001 + 0.001 |x|", "own"):
        assert text in result.stdout


def test_json_has_everything(place: Path) -> None:
    data = json.loads(run(*usual(place), "--json").stdout)
    found = data["accuracy"]
    assert found["outputs"][0]["name"] == "scores"
    assert {"own", "accumulated", "fit"} <= set(found["layers"][0]["held_out"])
    assert sorted(row["position"] for row in found["layers"]) == list(range(len(found["layers"])))
    assert data["failures"] == []


def test_csv_has_a_line_a_tensor_and_set(place: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(*usual(place), "--csv").stdout)))
    assert {row["samples_of"] for row in rows} == {"calibration", "held_out"}
    assert float(rows[0]["accumulated_sqnr"]) > 20


def test_a_floor_that_holds_passes(place: Path) -> None:
    result = run(*usual(place), "-q", "--fail-below", "sqnr=25,cosine=0.99")
    assert (result.exit_code, result.return_value) == (0, None)


def test_a_floor_that_does_not_hold_exits_with_3_and_names_the_output(place: Path) -> None:
    result = run(*usual(place), "-q", "--fail-below", "sqnr=25", "--fail-below", "close=0.9999")
    # Click returns the code of an Exit instead of exiting, in standalone_mode=False.
    assert 3 in (result.exit_code, result.return_value)
    assert "output 'scores' on held-out samples: close" in result.stderr
    assert result.stdout == ""


def test_a_built_model_is_verified_against_its_origin(place: Path, tmp_path: Path) -> None:
    CliRunner().invoke(
        group,
        [
            "convert",
            str(place / "net.onnx"),
            "--samples",
            str(place / "calib"),
            "-q",
            "--no-accuracy",
            "-o",
            str(tmp_path),
        ],
        catch_exceptions=False,
        standalone_mode=False,
    )
    built, origin = tmp_path / "net.pb", place / "net.onnx"
    result = run("--model", built, "--float", origin, "--test", place / "held", "--json")
    assert json.loads(result.stdout)["accuracy"]["layers"][0]["calibration"] is None


def test_two_runs_return_the_same_bytes(place: Path) -> None:
    assert run(*usual(place), "--json").stdout == run(*usual(place), "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a MODEL.onnx"),
        (["{place}/net.onnx"], "nothing to verify on"),
        (["--model", "a.pb", "--test", "x"], "--model needs --float"),
        (
            ["--model", "a.pb", "--float", "a.onnx", "--test", "x", "--observer", "mse"],
            "--observer has no use with --model",
        ),
        (
            ["--model", "a.pb", "--float", "a.onnx", "--test", "x", "--percentile", "99.99"],
            "--percentile has no use with --model",
        ),
        (["{place}/net.onnx", "--model", "a.pb"], "either a MODEL.onnx"),
        (["{place}/net.onnx", "--test", "x", "--fail-below", "snr=3"], "not of the form"),
        (["{place}/net.onnx", "--test", "x", "--fail-below", "sqnr=high"], "not a number"),
        (["{place}/net.onnx", "--test", "x", "--fail-below", "sqnr=nan"], "not a number"),
        (["{place}/net.onnx", "--test", "x", "--compare", "device"], "simulate,device"),
        (["{place}/net.onnx", "--test", "x", "--json", "--csv"], "either --json or --csv"),
        (["{place}/net.onnx", "--test", "x", "--library", "v61"], "'v61' is not one of"),
    ],
)
def test_wrong_usage_is_reported(place: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        run(*(text.format(place=place) for text in arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["{place}/missing.onnx", "--samples", "{place}/calib"],
        ["{place}/net.onnx", "--samples", "{place}/nothing"],
        ["{place}/net.onnx", "--samples", "{place}/calib", "--test", "{place}/empty"],
        ["{place}/net.onnx", "--samples", "{place}/calib", "--test", "{place}/shape.npy"],
        ["{place}/net.onnx", "--samples", "{place}/calib", "--test", "{place}/nan.npy"],
        ["--model", "{place}/net.onnx", "--float", "{place}/net.onnx", "--test", "{place}/held"],
        ["{place}/net.onnx", "--test", "{place}/held", "--ranges", "{place}/nothing.ranges"],
    ],
)
def test_bad_input_is_one_clear_error(place: Path, arguments: list[str]) -> None:
    (place / "empty").mkdir(exist_ok=True)
    np.save(place / "shape.npy", np.zeros((2, 3), np.float32))
    np.save(place / "nan.npy", np.full((1, 8, 12, 12), np.nan, np.float32))
    with pytest.raises(HexconvError):
        run(*(text.format(place=place) for text in arguments))
