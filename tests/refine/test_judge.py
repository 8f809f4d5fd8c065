"""What a model scores: a decibel of each output counts alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import helper

from hexconv.onnx_graph import load
from hexconv.refine.held_back import Judge
from hexconv.refine.scores import Score
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
