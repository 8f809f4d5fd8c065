"""`verify` has a figure for each tensor that is joined into an output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import hexconv
from hexconv.cli.verify import command
from hexconv.compare import Report, verify
from hexconv.report.accuracy_sections import parts as page_parts
from tests.lowering.proof import model, numbers

SHAPE = (1, 3, 40)
BOXES, SCORES = 1000.0, 1.0


def joined(moved: bool = False) -> onnx.ModelProto:
    """A loud and a quiet tensor in one output."""
    nodes = [
        helper.make_node("Relu", ["x"], ["boxes"]),
        helper.make_node("Sigmoid", ["z"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["j" if moved else "y"], axis=1),
    ]
    if moved:
        nodes.append(helper.make_node("Transpose", ["j"], ["y"], perm=[2, 0, 1]))
    return model(nodes, dict.fromkeys("xz", SHAPE), ["y"], {})


def samples(seed: int) -> list[dict[str, np.ndarray]]:
    return [
        {"x": np.float32(BOXES) * numbers(SHAPE, s), "z": numbers(SHAPE, s + 1)}
        for s in range(seed, seed + 2)
    ]


@pytest.fixture(params=[False, True], ids=["Concat", "Concat, Transpose"])
def report(request: pytest.FixtureRequest) -> Report:
    proto = joined(request.param)
    converted = hexconv.convert(proto, samples=samples(0))
    return verify(converted, proto, samples(0), held_out=samples(7))


def test_each_part_has_its_own_figures_on_both_sets(report: Report) -> None:
    (row,) = report.outputs
    boxes, scores = row.parts
    assert (boxes.tensor, scores.tensor) == ("boxes", "scores")
    for name, least in (("calibration", 35.0), ("held_out", 20.0)):
        loud, quiet = getattr(boxes, name), getattr(scores, name)
        assert loud.metrics.sqnr > least and loud.values > 50
        assert quiet.metrics.sqnr < 10.0 and quiet.values <= 2


def boxes_and_scores(report: Report) -> list[float]:
    """The worse figures."""
    return [
        min(part.calibration.metrics.sqnr, part.held_out.metrics.sqnr)
        for part in report.outputs[0].parts
        if part.calibration and part.held_out
    ]


def test_json_and_page_have_them(report: Report) -> None:
    section = report.as_dict()
    parts = section["outputs"][0]["parts"]
    assert [part["tensor"] for part in parts] == ["boxes", "scores"]
    assert boxes_and_scores(report) == [part["sqnr"] for part in parts]
    json.dumps(section)
    page = next(page_parts({"accuracy": section}))
    assert [row[1] for row in page.rows] == ["boxes", "scores"]


def test_the_table_has_a_row_for_each_below_its_output(tmp_path: Path) -> None:
    onnx.save(joined(), tmp_path / "m.onnx")
    for number, sample in enumerate(samples(0)):
        (tmp_path / "s").mkdir(exist_ok=True)
        np.savez(tmp_path / "s" / f"{number}.npz", **sample)
    found = CliRunner().invoke(
        command, [str(tmp_path / "m.onnx"), "--samples", str(tmp_path / "s"), "--rows", "0"]
    )
    lines = [line.split()[0] for line in found.stdout.splitlines() if line.strip()]
    first = lines.index("y")
    assert lines[first : first + 3] == ["y", "boxes", "scores"]


def test_an_output_that_nothing_joins_has_no_parts() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": SHAPE}, ["y"], {})
    feeds = [{"x": numbers(SHAPE)}]
    (row,) = verify(hexconv.convert(proto, samples=feeds), proto, feeds).outputs
    assert row.parts == ()
