"""What a model scores: a decibel of each output counts alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import helper

from hexconv.onnx_graph import load
from hexconv.refine.held_back import Judge
from hexconv.refine.scores import Score, averaged
from tests.lowering.proof import model, numbers

Sample = Mapping[str, np.ndarray[Any, Any]]
SAMPLES = [{"x": numbers((1, 8), seed)} for seed in range(5)]


def judge() -> Judge:
    nodes = [helper.make_node("Neg", ["x"], ["loud"]), helper.make_node("Abs", ["x"], ["quiet"])]
    return Judge(load(model(nodes, {"x": (1, 8)}, ["loud", "quiet"], {})), SAMPLES, "v66")


def score(**errors: float) -> Score:
    """With an error of each output, relative to its size."""

    def run(sample: Sample) -> Sample:
        exact = {"loud": -sample["x"], "quiet": np.abs(sample["x"])}
        return {name: array * (1.0 + errors.get(name, 0.0)) for name, array in exact.items()}

    return judge().score_of(run)


@pytest.mark.parametrize("better", ["loud", "quiet"])
def test_each_output_counts_alike_however_noisy_it_is(better: str) -> None:
    errors = {"loud": 0.1, "quiet": 0.001}
    before, after = score(**errors), score(**{**errors, better: errors[better] / 10.0})
    assert after.gains_over(before) == pytest.approx([10.0] * 5, abs=0.01)
    assert after.sqnr - before.sqnr == pytest.approx(10.0, abs=0.01)


def test_an_output_that_is_exact_counts_as_one_of_120_db() -> None:
    before, after = score(loud=0.1), score(loud=0.1, quiet=0.01)
    # Of the signal of all samples, of which one has a part.
    assert all(-40.0 < gain < -30.0 for gain in after.gains_over(before))
    assert score(loud=0.01).gains_over(before) == pytest.approx([10.0] * 5, abs=0.01)


def test_samples_nearby_have_the_same_signal_and_other_roundings() -> None:
    mask = np.array([[0.0, 1.0] * 4], np.float32)
    nodes = [helper.make_node("Mul", ["x", "m"], ["y"])]
    proto = model(nodes, {"x": (1, 8), "m": (1, 8)}, ["y"], {})
    samples = [{"x": numbers((1, 8), seed), "m": mask} for seed in range(5)]
    seen: list[Sample] = []

    def run(sample: Sample) -> Sample:
        seen.append(sample)
        return {"y": sample["x"] * sample["m"] + np.float32(0.01)}

    first = Judge(load(proto), samples, "v66")
    scores = [
        item.score_of(run) for item in (first, first.nearby(0), first.nearby(0), first.nearby(1))
    ]
    assert scores[1] == scores[2] != scores[3] and scores[1].noise == pytest.approx(
        scores[0].noise, rel=0.1
    )
    for sample, other in zip(samples, seen[5:10], strict=True):
        x, moved = sample["x"], other["x"]
        level = (max(x.max(), 0.0) - min(x.min(), 0.0)) / 255.0
        assert moved.dtype == np.float32 and 0.0 < np.abs(moved - x).max() <= 2.001 * level
        assert moved.max() == x.max() and moved.min() == x.min()
        np.testing.assert_array_equal(other["m"], mask)


def test_the_average_of_two_scores_has_the_mean_gain() -> None:
    one, two = score(loud=0.1, quiet=0.1), score(loud=0.1, quiet=0.1)
    better = score(loud=0.01, quiet=0.01)
    gains = averaged([one, better]).gains_over(averaged([one, two]))
    assert gains == pytest.approx([10.0] * 5, abs=0.01)
    assert averaged([one, better]).sqnr == pytest.approx((one.sqnr + better.sqnr) / 2.0)
