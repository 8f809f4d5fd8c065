"""`verify --explain`: shares that add up, causes that are there, options that were tried."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.compare import verify
from hexconv.errors import HexconvError
from hexconv.explain import CAUSES, Explanation, explain
from hexconv.report import html
from hexconv.schema import check_document
from tests.compare.nets import convolutions, samples, softmax_of_many
from tests.lowering.proof import model, numbers
from tests.refine.test_high_accuracy import attention, feeds


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explain(convolutions(), samples(8), held_out=samples(4, seed=9))


def share(found: Explanation, tensor: str) -> float:
    return next(row.share for row in found.tensors if row.tensor == tensor)


def test_shares_add_up_and_so_does_their_noise(found: Explanation) -> None:
    assert sum(row.share for row in found.tensors) == pytest.approx(1.0)
    assert sum(found.causes.values()) == pytest.approx(1.0) and set(found.causes) == set(CAUSES)
    assert found.predicted == pytest.approx(found.measured, abs=2.0)
    for row in found.tensors:
        assert sum(getattr(row, cause) for cause in CAUSES) == pytest.approx(1.0)
    assert [row.share for row in found.tensors] == sorted(
        (row.share for row in found.tensors), reverse=True
    )


def test_the_noise_of_attention_adds_up_and_high_is_advised_where_it_gains() -> None:
    found = explain(attention(), feeds(12), held_out=feeds(2, 50))
    assert found.predicted == pytest.approx(found.measured, abs=1.0)
    assert found.advised[0].option == "--accuracy high"
    assert found.advised[0].gain is not None and found.advised[0].gain > 1.0


def test_errors_take_no_value_below_what_a_root_is_defined_for() -> None:
    """All shares were NaN: a sum of squares near 0, less its error, has no root."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["s"]),
        helper.make_node("ReduceSum", ["s", "axis"], ["p"]),
        helper.make_node("Sqrt", ["p"], ["y"]),
    ]
    weight = numbers((16, 3, 1, 1))
    proto = model(nodes, {"x": (1, 3, 8, 8)}, ["y"], {"w": weight, "axis": np.array([1])})
    quiet = [{"x": numbers((1, 3, 8, 8), seed) ** 5 / 10} for seed in range(4)]
    found = explain(proto, quiet)
    assert found.predicted == pytest.approx(found.measured, abs=6.0)
    assert sum(row.share for row in found.tensors) == pytest.approx(1.0)


def clipped(narrow: float) -> Explanation:
    """The range of 'second' narrowed: what it clips is its noise."""
    calibrated = hexconv.convert(convolutions(), samples=samples(4))
    low, high = calibrated.ranges["second"]
    ranges = {**calibrated.ranges, "second": (low * narrow, high * narrow)}
    model = hexconv.convert(convolutions(), ranges=ranges)
    return explain(convolutions(), samples(4), held_out=samples(2, seed=9), model=model)


def test_a_clipped_tensor_has_the_largest_share_and_clipping_as_its_cause() -> None:
    found = clipped(0.3)
    assert found.tensors[0].tensor == "second" and found.tensors[0].share > 0.9
    assert found.tensors[0].clipping > 0.9 and found.causes["clipping"] > 0.9
    assert found.without(found.tensors[0]) > found.predicted + 10


def test_large_weights_that_nothing_is_multiplied_with_are_a_matter_of_weights() -> None:
    """They stretch the scale of each channel; the first input is silent."""
    proto = convolutions()
    weights = next(item for item in proto.graph.initializer if item.name == "w1")
    array = numpy_helper.to_array(weights).copy()
    array[:, 0] *= 30.0
    weights.CopyFrom(numpy_helper.from_array(array, "w1"))
    quiet = samples(4)
    for sample in quiet:
        sample["x"][:, 0] = 0.0
    found = explain(proto, quiet)
    assert found.causes["weights"] > 0.8 and found.tensors[0].weights > 0.8


def test_the_figure_of_an_option_is_that_of_converting_with_it(found: Explanation) -> None:
    held = samples(4, seed=9)
    for option, settings in (("", {}), ("--observer mse", {"observer": "mse"})):
        model = hexconv.convert(convolutions(), samples=samples(8), **settings)
        report = verify(model, convolutions(), held_out=held)
        trial = next(item for item in found.trials if item.option == option)
        assert report.outputs[0].held_out is not None
        assert trial.sqnr == pytest.approx(report.outputs[0].held_out.sqnr, abs=1e-6)


def test_only_options_that_gained_are_advised(found: Explanation) -> None:
    base = found.trials[0]
    assert base.option == "" and base.sqnr is not None
    for item in found.trials[1:]:
        if item.sqnr is not None:
            assert item.gain == pytest.approx(item.sqnr - base.sqnr)
            assert (item in found.advised) == (item.gain >= 0.2)
    assert {"--accuracy high", "--observer mse", "--observer percentile"} <= {
        item.option for item in found.trials
    }


def test_an_option_that_does_not_work_is_said_with_its_reason(found: Explanation) -> None:
    trial = next(item for item in found.trials if item.option == "--keep-float second")
    assert trial.sqnr is None and "cannot be kept in float" in trial.why


def test_a_softmax_at_the_end_is_tried_outside_an_inner_one_is_not(found: Explanation) -> None:
    draw = np.random.default_rng(0)
    inputs = [{"x": draw.standard_normal((1, 4, 32)).astype(np.float32)} for _ in range(4)]
    best = explain(softmax_of_many(), inputs).trials[1]
    assert best.option == "--outputs logits, and the softmax in the application"
    assert best.gain is not None and best.gain > 2.0
    assert not any("softmax" in item.option for item in found.trials)


def test_equalized_channels_are_explained_too() -> None:
    """Their tensors are scaled beside those of the float model, in both."""
    proto = convolutions()
    weights = {item.name: item for item in proto.graph.initializer}
    scale = np.logspace(0, 2.5, 16, dtype=np.float32)
    first, second = (numpy_helper.to_array(weights[name]) for name in ("w1", "w2"))
    del proto.graph.node[3]
    proto.graph.node[3].input[0] = "second"
    weights["w1"].CopyFrom(numpy_helper.from_array(first * scale.reshape(-1, 1, 1, 1), "w1"))
    weights["w2"].CopyFrom(numpy_helper.from_array(second / scale.reshape(1, -1, 1, 1), "w2"))
    model = hexconv.convert(proto, samples=samples(4))
    assert model.conversion is not None
    assert "equalized_channels" in [item.name for item in model.conversion.rewrites]
    found = explain(proto, samples(4), held_out=samples(2, seed=9), model=model)
    assert found.predicted == pytest.approx(found.measured, abs=3.0)


def run(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        group,
        ["verify", str(place / "net.onnx"), *arguments],
        catch_exceptions=False,
        standalone_mode=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    onnx.save(convolutions(), folder / "net.onnx")
    (folder / "calib").mkdir()
    for number, sample in enumerate(samples(4)):
        np.save(folder / "calib" / f"{number}.npy", sample["x"])
    return folder


def test_text_json_and_page_have_it(place: Path) -> None:
    text = run(place, "--samples", str(place / "calib"), "--explain").stdout
    for part in ("Where the noise comes from", "dB if", "Tried, on 4 samples", "--accuracy high"):
        assert part in text
    printed = json.loads(
        run(place, "--samples", str(place / "calib"), "--explain", "--json").stdout
    )
    document = check_document(printed, "stdout")
    assert document["explanation"]["trials"][0]["option"] == ""
    page = html(document)
    assert "Where the noise comes from" in page and "What was tried" in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["--test", "calib", "--ranges", "net.ranges", "--explain"],
        ["--samples", "calib", "--ranges", "net.ranges", "--explain"],
    ],
)
def test_it_needs_samples_to_convert_with(place: Path, arguments: list[str]) -> None:
    with pytest.raises(click.UsageError, match="--explain"):
        run(place, *arguments)


def test_no_samples_are_one_error() -> None:
    with pytest.raises(HexconvError, match="there are no samples"):
        explain(convolutions(), samples(2), held_out=[])
