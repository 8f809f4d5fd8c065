"""Layer by layer: the node that causes the error first, whatever follows it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv.compare import Report, verify
from hexconv.compare.layers import Bench
from hexconv.compare.metrics import EXACT
from hexconv.errors import ConfigError, HexconvError, ModelError, SampleWarning
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from hexconv.simulator import Simulator
from tests.compare.nets import SHAPE, convolutions, samples, softmax_of_many
from tests.lowering import proof


@pytest.fixture(scope="module")
def model() -> hexconv.Model:
    return hexconv.convert(convolutions(), samples=samples(4))


@pytest.fixture(scope="module")
def report(model: hexconv.Model) -> Report:
    return verify(model, convolutions(), samples(4), held_out=samples(3, seed=9))


def test_every_tensor_that_both_sides_have_is_compared(report: Report) -> None:
    assert {row.tensor for row in report.layers} >= {"x", "relu", "second", "added", "scores"}
    assert report.unmatched == ()


def test_both_sets_are_shown_side_by_side(report: Report) -> None:
    for row in report.outputs:
        assert row.calibration is not None and row.held_out is not None
        assert (row.calibration.samples, row.held_out.samples) == (4, 3)
    for layer in report.layers:
        assert layer.calibration is not None and layer.held_out is not None


def test_a_sound_conversion_has_sound_figures(report: Report) -> None:
    """8 bits give about 40 dB a tensor; pooling averages noise away."""
    (row,) = report.outputs
    assert row.held_out is not None
    assert row.held_out.sqnr > 30 and row.held_out.cosine > 0.999
    assert row.held_out.top1 is not None
    assert all(layer.worst.own.sqnr > 30 for layer in report.layers)


def test_layers_are_sorted_by_their_own_error(report: Report) -> None:
    own = [row.worst.own.sqnr for row in report.layers]
    assert own == sorted(own)


def test_the_first_tensor_accumulates_its_own_error_alone(report: Report) -> None:
    row = next(row for row in report.layers if row.tensor == "x")
    assert row.calibration is not None
    assert row.calibration.own == row.calibration.accumulated


def test_outputs_are_what_simulate_returns(model: hexconv.Model, report: Report) -> None:
    sample = samples(4)[0]
    returned = hexconv.simulate(model, sample)["scores"]
    alone = verify(model, convolutions(), [sample])
    assert alone.outputs[0].calibration is not None
    from onnxruntime import InferenceSession

    expected = InferenceSession(convolutions().SerializeToString()).run(None, sample)[0]
    apart = float(np.abs(expected - returned).max())
    assert alone.outputs[0].calibration.max_error == pytest.approx(apart, rel=1e-4)


def test_the_node_with_a_clipped_range_is_found_and_later_ones_point_at_it() -> None:
    good = hexconv.convert(convolutions(), samples=samples(4))
    ranges = {**good.ranges, "second": (-0.3, 0.3)}
    bad = hexconv.convert(convolutions(), ranges=ranges, samples=samples(4))
    found = verify(bad, convolutions(), samples(4))
    guilty = found.layers[0]
    assert guilty.tensor == "second"
    assert "outside" in guilty.advice[0]
    rows = {row.tensor: row for row in found.layers}
    # Its reader gets clipped values, wherever they come from; what comes after is sound by itself.
    assert "its input 'second'" in rows["added"].advice[0]
    pooled = rows["pooled"]
    assert pooled.worst.own.sqnr > 30
    assert pooled.worst.accumulated is not None and pooled.worst.accumulated.sqnr < 20
    assert "upstream at 'second'" in pooled.advice[0]


def test_outliers_that_stretch_a_range_are_named() -> None:
    stretched = samples(4)
    stretched[0]["x"][0, 0, 0, 0] = 300.0
    model = hexconv.convert(convolutions(), samples=stretched)
    found = verify(model, convolutions(), samples(4))
    relu = next(row for row in found.layers if row.tensor == "relu")
    assert any("outliers stretch" in text for text in relu.advice)


def test_a_softmax_over_many_classes_gets_its_own_advice() -> None:
    """Peaked rows keep the library's own op, whose small probabilities are lost."""
    draw = np.random.default_rng(0)
    feeds = [{"x": 100 * draw.standard_normal((1, 4, 32)).astype(np.float32)} for _ in range(3)]
    model = hexconv.convert(softmax_of_many(), samples=feeds)
    (row, *_) = verify(model, softmax_of_many(), feeds).layers
    assert row.tensor == "odds" and any("softmax" in text for text in row.advice)


def test_flat_rows_of_many_classes_have_a_range_of_their_own() -> None:
    draw = np.random.default_rng(0)
    feeds = [{"x": draw.standard_normal((1, 4, 32)).astype(np.float32)} for _ in range(3)]
    model = hexconv.convert(softmax_of_many(), samples=feeds)
    (odds,) = (
        row for row in verify(model, softmax_of_many(), feeds).layers if row.tensor == "odds"
    )
    assert odds.calibration is not None and odds.calibration.accumulated.sqnr > 40.0


def test_silent_held_out_samples_are_warned_of(model: hexconv.Model) -> None:
    silent = [{"x": np.zeros(SHAPE, np.float32)}] * 2
    with pytest.warns(SampleWarning, match="the held-out samples of 'x' are silent") as told:
        verify(model, convolutions(), samples(4), held_out=silent)
    assert told[0].filename == __file__


def test_held_out_samples_beyond_the_calibrated_range_show(model: hexconv.Model) -> None:
    found = verify(model, convolutions(), samples(4), held_out=samples(3, seed=9, scale=3.0))
    (row,) = found.outputs
    assert row.calibration is not None and row.held_out is not None
    assert row.calibration.sqnr > row.held_out.sqnr + 5
    assert any("held-out" in text for layer in found.layers for text in layer.advice)


@pytest.mark.parametrize("optimize", ["none", "default"])
def test_a_saved_model_is_compared_like_the_converted_one(tmp_path: Path, optimize: str) -> None:
    built = hexconv.convert(convolutions(), samples=samples(4), optimize=optimize)
    built.save(tmp_path)
    loaded = hexconv.load(tmp_path / f"{built.name}.pb")
    first = verify(built, convolutions(), samples(2), optimize=optimize)
    assert verify(loaded, convolutions(), samples(2), optimize=optimize) == first


def test_memory_does_not_grow_with_samples(model: hexconv.Model) -> None:
    """Stored inputs alone would take 4.6 kB a sample, kept tensors sixty.

    NumPy keeps small freed blocks for later, and the simulator a bounded number of tables by
    input range: hence the same image again and again, and not exactly nothing.
    """
    peaks = []
    for count in (3, 3, 30):
        tracemalloc.start()
        verify(model, convolutions(), (samples(1)[0] for _ in range(count)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 27 * 4_600


def test_the_report_is_plain_data(report: Report) -> None:
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert data["close"] == {"rtol": 1e-3, "atol": 1e-4}
    assert len(report.csv().splitlines()) == 1 + 2 * (len(report.outputs) + len(report.layers))


def test_floors_hold_on_every_set_and_name_the_output(report: Report) -> None:
    assert report.failures({"sqnr": 20.0, "cosine": 0.99}) == []
    failed = report.failures({"sqnr": EXACT})
    assert len(failed) == 2 and all("'scores'" in text for text in failed)


def test_an_unrelated_model_is_rejected(model: hexconv.Model) -> None:
    with pytest.raises(HexconvError):
        verify(model, softmax_of_many(), samples(1))


def test_another_output_is_rejected_by_name(model: hexconv.Model) -> None:
    other = convolutions()
    other.graph.output[0].name = other.graph.node[-1].output[0] = "logits"
    with pytest.raises(ModelError, match="no output 'scores'"):
        verify(model, other, samples(1))


def test_no_samples_at_all_are_rejected(model: hexconv.Model) -> None:
    with pytest.raises(ConfigError, match="nothing to compare on"):
        verify(model, convolutions())


def test_top1_without_classes_is_rejected() -> None:
    other = convolutions()
    del other.graph.node[4:]
    other.graph.output[0].name = "added"
    dims = other.graph.output[0].type.tensor_type.shape
    dims.ClearField("dim")
    for size in (1, 16, *SHAPE[2:]):
        dims.dim.add().dim_value = size
    model = hexconv.convert(other, samples=samples(2))
    with pytest.raises(ConfigError, match="top1"):
        verify(model, other, samples(1)).failures({"top1": 0.5})


def test_a_folded_vocoder_is_compared_throughout() -> None:
    """The converter folds time into depth where channels are few: names and bytes stay."""
    from hexconv.models import voice

    length = 8
    onnx_model = voice.onnx_model(length)
    mel = next(iter(voice.mels().values()))[:, :, :length]
    feeds = [{"inputs": np.ascontiguousarray(mel)}]
    found = verify(hexconv.convert(onnx_model, samples=feeds), onnx_model, feeds)
    assert found.unmatched == ()
    names = [row.tensor for row in found.layers]
    assert len(names) == len(set(names)) > 40
    assert all(row.worst.own.sqnr > 20 for row in found.layers)


def test_samples_at_the_same_time_have_the_figures_of_one_after_another() -> None:
    """With different input ranges, so that samples that were mixed up would show."""
    source = convolutions()
    shown = [s for scale in (0.5, 1.0, 2.0) for s in samples(5, int(scale * 10), scale)]
    model = hexconv.convert(source, samples=shown)
    reference, _ = prepared(source, {"x": SHAPE}, Settings())
    together, alone = Bench(model.graph, reference), Bench(model.graph, reference, threads=1)
    counted: list[int] = []
    assert together.measure(shown, counted.append) == alone.measure(shown)
    assert counted == list(range(1, 16))


def test_layers_are_compared_on_the_first_samples_and_outputs_on_all(
    model: hexconv.Model,
) -> None:
    shown = samples(6, seed=4)
    every = verify(model, convolutions(), shown, layer_samples=6)
    some = verify(model, convolutions(), shown, layer_samples=2)
    first = verify(model, convolutions(), shown[:2])
    assert some.layers == first.layers
    assert [row.calibration.samples for row in some.outputs if row.calibration] == [6]
    for one, other in zip(some.outputs, every.outputs, strict=True):
        assert one.calibration is not None and other.calibration is not None
        assert one.calibration.sqnr == pytest.approx(other.calibration.sqnr, abs=1e-3)


def test_without_layer_samples_there_are_outputs_alone(model: hexconv.Model) -> None:
    found = verify(model, convolutions(), samples(3), layer_samples=0)
    assert found.layers == ()
    assert found.outputs[0].calibration is not None
    with pytest.raises(ConfigError, match="layer_samples is -1"):
        verify(model, convolutions(), samples(3), layer_samples=-1)


def test_the_first_of_several_bad_samples_is_named() -> None:
    """exp(100) is past float32 and not past what the library takes."""
    source = proof.model([helper.make_node("Exp", ["x"], ["y"])], {"x": SHAPE}, ["y"], {})
    model = hexconv.convert(source, samples=samples(2))
    reference, _ = prepared(source, {"x": SHAPE}, Settings())
    shown = samples(6)
    for place in (3, 4):
        shown[place]["x"] = np.full(SHAPE, 100, np.float32)
    with pytest.raises(ModelError, match="float model returns") as caught:
        Bench(model.graph, reference).measure(shown)
    assert caught.value.where == "sample 3"


def test_twins_of_a_simulator_share_weights_and_return_the_same() -> None:
    model = hexconv.convert(convolutions(), samples=samples(2))
    first = Simulator(model)
    second = first.twin()
    for sample in samples(3):
        ours, theirs = first.run(sample), second.run(sample)
        assert ours["scores"].tobytes() == theirs["scores"].tobytes()
    layers = [[step.call.cache for step in one._plain.steps] for one in (first, second)]
    assert all(a is b for a, b in zip(*layers, strict=True))
