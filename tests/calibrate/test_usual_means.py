"""Streams whose mean is subtracted in the weights: huge channels do not move the others."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hexconv
from hexconv.calibrate import large_channels, outlier_channels, rewritten_copy
from hexconv.calibrate.stream_groups import stream_groups
from hexconv.calibrate.usual_means import without_mean
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.pipeline import prepared
from hexconv.settings import Settings
from hexconv.tensor_ranges import observed_ranges
from tests.calibrate.test_outlier_channels import MARK, NETS, OUTLIER, feeds
from tests.lowering.proof import decibels

HUGE = 60.0
"""So that the others of its token are moved by 20 where the mean of all channels is subtracted."""
SUM = "0.t/centered"
"""A tensor of the stream."""


def graph_of(proto: onnx.ModelProto) -> FloatGraph:
    return prepared(proto, None, Settings())[0]


def copy_of(graph: FloatGraph, name: str) -> FloatGraph:
    samples = feeds(name, 8)
    found = observed_ranges(graph, samples, None, Settings()).ranges
    made = rewritten_copy(graph, found | large_channels(graph, found, samples), equalized=True)
    assert made is not None
    return made


@pytest.mark.parametrize("name", ["pre", "whisper"])
def test_usual_channels_are_less_than_half_as_large(name: str) -> None:
    graph, sample = graph_of(NETS[name](HUGE)), feeds(name, 1, first=20)[0]
    copy = copy_of(graph, name)
    before = FloatSession(graph, [SUM]).run(sample)[SUM]
    behind = FloatSession(copy, [f"{SUM}/scaled"]).run(sample)[f"{SUM}/scaled"]
    usual = [c for c in range(before.shape[-1]) if c not in (MARK, OUTLIER)]
    assert np.abs(behind[..., usual]).max() < 0.5 * np.abs(before[..., usual]).max()


@pytest.mark.parametrize("name", ["pre", "whisper"])
def test_several_large_channels_leave_the_function_as_it_is(name: str) -> None:
    """The mean of all is a sum of them then, and so is its square."""
    proto = NETS[name](HUGE)
    weights = next(item for item in proto.graph.initializer if item.name == "0.ff.w")
    array = numpy_helper.to_array(weights).copy()
    array[0, [OUTLIER + 1, OUTLIER + 7]] = 0.5 * HUGE, -0.8 * HUGE
    weights.CopyFrom(numpy_helper.from_array(array, weights.name))
    graph = graph_of(proto)
    copy = copy_of(graph, name)
    for sample in feeds(name, 3, first=20):
        wanted, made = (FloatSession(item, ["y"]).run(sample)["y"] for item in (graph, copy))
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-3)


def worth(name: str, size: float) -> float:
    """dB on samples that nothing has seen; the library gives the same bits, where it is at hand."""
    made = hexconv.convert(NETS[name](size), samples=feeds(name, 8))
    return decibels(NETS[name](size), feeds(name, 4, first=40), ranges=made.ranges)


@pytest.mark.parametrize("name", ["pre", "whisper"])
def test_it_gains_1_db_on_samples_that_nothing_has_seen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three networks: another rounding moves one by a decibel."""
    found = []
    for least in (outlier_channels.MOVED, np.inf):
        monkeypatch.setattr(outlier_channels, "MOVED", least)
        found.append(np.mean([worth(name, size) for size in (32.0, HUGE, 100.0)]))
    assert found[0] > found[1] + 1.0


def test_small_ones_leave_the_mean_to_all() -> None:
    copy = copy_of(graph_of(NETS["pre"](1.0)), "pre")
    assert not any("usual_mean" in str(name) for name in copy.graph.initializers)


def test_norms_that_write_another_stream_need_their_gammas_as_factors() -> None:
    """Of post-norm networks: products in their place would take a quarter of the packets more."""
    assert not without_mean(stream_groups(graph_of(NETS["post"](HUGE))))
