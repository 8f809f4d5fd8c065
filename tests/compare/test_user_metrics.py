"""Metrics of the user's: both models side by side, thresholds, and one clear error for bad code."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import hexconv
from hexconv.cli import group
from hexconv.compare import Report, verify
from hexconv.compare.user_metrics import load_metric
from hexconv.errors import ConfigError, FileError, HexconvError
from hexconv.report import html
from hexconv.schema import check_document
from hexconv.simulator import Simulator
from tests.compare.nets import convolutions, samples

CODE = """
import numpy as np

def first_score(outputs, samples):
    print("printed by the metric")
    return np.mean([item["scores"][0, 0] for item in outputs])

def loudness(outputs, samples):
    return sum(float(np.abs(item["x"]).sum()) for item in samples)

def divides(outputs, samples):
    count = 0
    return 1 / count

def inside(outputs, samples):
    return np.concatenate([]).mean()

def leaves(outputs, samples):
    raise SystemExit(3)

def text(outputs, samples):
    return "high"

def many(outputs, samples):
    return [1.0, 2.0]

def flag(outputs, samples):
    return True

def nothing(outputs, samples):
    pass

def missing(outputs, samples):
    return np.float32("nan")

def endless(outputs, samples):
    return float("inf")

def changes(outputs, samples):
    outputs[0]["scores"][:] = 0
    return 1

def alone(outputs):
    return 1

number = 3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    onnx.save(convolutions(), folder / "net.onnx")
    (folder / "metrics.py").write_text(CODE, encoding="utf-8")
    (folder / "broken.py").write_text("def wer(outputs, samples:\n    return 1\n")
    (folder / "fails.py").write_text("x = 1\nraise RuntimeError('no labels')\n")
    for name, seed in (("calib", 0), ("held", 9)):
        (folder / name).mkdir()
        for number, sample in enumerate(samples(3, seed)):
            np.save(folder / name / f"{number}.npy", sample["x"])
    return folder


def run(place: Path, metric: str, *more: str) -> Result:
    sets = ["--samples", str(place / "calib"), "--test", str(place / "held")]
    return CliRunner().invoke(
        group,
        ["verify", str(place / "net.onnx"), *sets, "--metric", str(place / metric), *more],
        catch_exceptions=False,
        standalone_mode=False,
    )


def code_of(result: Result) -> object:
    """Click returns the code of an Exit instead of exiting, in standalone_mode=False."""
    return result.return_value or result.exit_code


@pytest.fixture(scope="module")
def model() -> hexconv.Model:
    return hexconv.convert(convolutions(), samples=samples(3))


def measured(model: hexconv.Model, *metrics: object) -> Report:
    return verify(model, convolutions(), samples(3), held_out=samples(5, seed=9), metrics=metrics)  # type: ignore[arg-type]


def test_a_metric_is_of_all_outputs_of_each_model_in_the_order_of_the_samples(
    model: hexconv.Model,
) -> None:
    seen: list[tuple[list[np.ndarray], list[np.ndarray]]] = []

    def spread(outputs, inputs):  # type: ignore[no-untyped-def]
        seen.append(([o["scores"] for o in outputs], [s["x"] for s in inputs]))
        return float(np.std([o["scores"] for o in outputs]))

    (row,) = measured(model, spread).metrics
    held = samples(5, seed=9)
    floats, quantized = seen[2], seen[3]
    for number, sample in enumerate(held):
        assert np.array_equal(floats[1][number], sample["x"])
        simulated = Simulator(model, "v66").run(sample)["scores"]
        assert np.array_equal(quantized[0][number], simulated)
    assert row.held_out is not None
    assert row.held_out.float_model == float(np.std(floats[0]))
    assert row.held_out.quantized == float(np.std(quantized[0])) != row.held_out.float_model


def test_text_json_and_page_have_both_models(place: Path) -> None:
    text = run(place, "metrics.py:first_score").stdout
    assert "float model" in text and "first_score" in text and "printed" not in text
    printed = json.loads(run(place, "metrics.py:first_score", "--json").stdout)
    document = check_document(printed, "stdout")
    (row,) = document["accuracy"]["metrics"]
    assert row["name"] == "first_score" and set(row["held_out"]) == {"float_model", "quantized"}
    assert "first_score" in html(document)


@pytest.mark.parametrize("figure", ["first_score", "metric"])
def test_a_minimum_is_for_the_quantized_models_value_on_every_set(place: Path, figure: str) -> None:
    rows = json.loads(run(place, "metrics.py:first_score", "--json").stdout)["accuracy"]["metrics"]
    values = [rows[0][name]["quantized"] for name in ("calibration", "held_out")]
    below, above = (f"{figure}={value}" for value in (min(values) - 1e-3, min(values) + 1e-3))
    assert code_of(run(place, "metrics.py:first_score", "-q", "--fail-below", below)) in (0, None)
    failed = run(place, "metrics.py:first_score", "-q", "--fail-below", above)
    assert code_of(failed) == 3 and "metric 'first_score' on" in failed.stderr


def test_a_maximum_is_for_metrics_of_which_less_is_better(place: Path) -> None:
    passed = run(place, "metrics.py:loudness", "-q", "--fail-above", "loudness=1e9")
    assert code_of(passed) in (0, None)
    failed = run(place, "metrics.py:loudness", "--json", "--fail-above", "loudness=1")
    assert code_of(failed) == 3
    thresholds = json.loads(failed.stdout)["thresholds"]
    assert [item["ok"] for item in thresholds] == [False, False]
    assert {item["of"] for item in thresholds} == {"calibration", "held-out"}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("divides", ["ZeroDivisionError", "{line}"]),
        ("inside", ["need at least one array", "{line}"]),
        ("leaves", ["SystemExit: 3", "{line}"]),
        ("text", ["returns no number", "str: 'high'"]),
        ("many", ["returns no number", "list"]),
        ("flag", ["returns no number", "bool"]),
        ("nothing", ["returns no number", "NoneType"]),
        ("missing", ["returns nan on the outputs of the float model"]),
        ("endless", ["returns inf"]),
        ("changes", ["read-only", "{line}"]),
        ("alone", ["cannot be called with (outputs, samples)"]),
        ("number", ["3 is not a function"]),
        ("absent", ["there is no function 'absent'"]),
    ],
)
def test_bad_code_is_one_error_that_names_its_line(
    place: Path, function: str, told: list[str]
) -> None:
    body = CODE.partition(f"def {function}(")[2].partition("\n\n")[0]
    line = CODE.partition(body)[0].count("\n") + 1 + body.count("\n") if body else 0
    if function == "changes":
        line -= 1
    with pytest.raises(ConfigError) as found:
        run(place, f"metrics.py:{function}")
    for text in told:
        assert text.format(line=f"metrics.py:{line}\n") in str(found.value) + "\n"


@pytest.mark.parametrize(
    ("metric", "told", "kind"),
    [
        ("absent.py:wer", "cannot be read", FileError),
        (".:wer", "is not of the form", ConfigError),
        ("metrics.py", "is not of the form", ConfigError),
        ("metrics.py:", "is not of the form", ConfigError),
        ("net.onnx:wer", "is not of the form", ConfigError),
        ("broken.py:wer", "broken.py:1", ConfigError),
        ("fails.py:wer", "fails.py:2", ConfigError),
    ],
)
def test_a_bad_file_is_one_error(
    place: Path, metric: str, told: str, kind: type[HexconvError]
) -> None:
    with pytest.raises(kind, match=told):
        load_metric(str(place / metric))


def test_the_file_may_import_what_is_beside_it_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "words_of_this_test.py").write_text(
        "def count(outputs):\n    return len(outputs)\n"
    )
    (tmp_path / "m.py").write_text(
        "from words_of_this_test import count\n"
        "def wer(outputs, samples):\n    return count(outputs)\n"
    )
    assert load_metric(f"{tmp_path}/m.py:wer")([{}, {}], [{}, {}]) == 2
    assert not list(tmp_path.glob("__pycache__/m.*"))


def test_names_of_metrics_differ_from_each_other_and_from_figures(model: hexconv.Model) -> None:
    def sqnr(outputs, inputs):  # type: ignore[no-untyped-def]
        return 1

    def mine(outputs, inputs):  # type: ignore[no-untyped-def]
        return 1

    for metrics in ((sqnr,), (mine, mine)):
        with pytest.raises(ConfigError, match="is taken"):
            measured(model, *metrics)


def test_a_threshold_without_its_metric_is_an_error(model: hexconv.Model, place: Path) -> None:
    report = verify(model, convolutions(), samples(1))
    with pytest.raises(ConfigError, match="no such metric"):
        report.failures({"wer": 1.0})
    with pytest.raises(click.UsageError, match="not of the form"):
        run(place, "metrics.py:loudness", "--fail-below", "wer=1")
    with pytest.raises(click.UsageError, match="no use with"):
        run(place, "metrics.py:loudness", "--levels")
