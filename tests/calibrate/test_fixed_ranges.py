"""Ranges that the library gives results itself: a range that needs a table has to pay for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.calibrate.observe import least_widths
from hexconv.calibration import Calibration
from hexconv.compare.noise import TensorNoise
from hexconv.onnx_graph import load
from hexconv.pipeline import built, prepared
from hexconv.precision import Precision
from hexconv.quantize.fixed_ranges import at_least, width_of
from hexconv.refine.candidates import InOwnRange, candidates
from hexconv.refine.held_back import Judge
from hexconv.refine.searched_ranges import searched_ranges
from hexconv.settings import Settings
from tests.lowering.proof import model

ROWS, WIDTH = 8, 256


def small(op: str, low: float) -> onnx.ModelProto:
    """A Linear, the function, and a Linear of its results."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
        helper.make_node(op, ["z"], ["y"]),
        helper.make_node("MatMul", ["y", "v"], ["out"]),
    ]
    mixing = np.random.default_rng(3).normal(0.0, WIDTH**-0.5, (WIDTH, 32)).astype(np.float32)
    consts = {
        "w": np.eye(WIDTH, dtype=np.float32),
        "b": np.full(WIDTH, low, np.float32),
        "v": mixing,
    }
    return model(nodes, {"x": (ROWS, WIDTH)}, ["out"], consts, 17)


def feeds(
    largest: float, count: int = 16, first: int = 0, spread: float = 0.15
) -> list[dict[str, Any]]:
    """Small numbers; one of the first sample is large."""
    found = []
    for seed in range(first, first + count):
        x = np.random.default_rng(seed).normal(0.0, spread, (ROWS, WIDTH)).astype(np.float32)
        found.append({"x": x})
    found[0]["x"][0, 0] = largest
    return found


def ops(made: hexconv.Model) -> set[str]:
    return {node.op for node in made.graph.nodes}


@pytest.mark.parametrize(
    ("op", "low", "largest", "spread", "least", "observer"),
    [
        ("Sigmoid", -3.0, 2.35, 0.15, 0.32, "mse"),
        ("Sigmoid", -3.0, 2.35, 0.15, 0.32, "percentile"),
        ("Tanh", 0.0, 0.9, 0.02, 0.32 * 255 / 127, "percentile"),
    ],
    ids=["sigmoid, least error", "sigmoid, percentile", "tanh, percentile"],
)
def test_a_range_that_all_seen_keeps_the_op_of_keeps_it(
    op: str, low: float, largest: float, spread: float, least: float, observer: Any
) -> None:
    made, seen = (
        hexconv.convert(small(op, low), samples=feeds(largest, spread=spread), observer=o)
        for o in (observer, "minmax")
    )
    assert least < width_of(made.ranges["y"]) < 1.02 * least < width_of(seen.ranges["y"])
    assert f"Quantized{op}_8" in ops(made) & ops(seen) and "Table_8" not in ops(made) | ops(seen)


def test_results_that_are_small_anyway_have_the_range_of_least_error() -> None:
    made, seen = (
        hexconv.convert(small("Sigmoid", -3.0), samples=feeds(2.0), observer=observer)
        for observer in ("mse", "minmax")
    )
    assert width_of(made.ranges["y"]) < width_of(seen.ranges["y"]) < 0.32
    assert "Table_8" in ops(made) & ops(seen)


@pytest.mark.parametrize(
    ("bounds", "seen", "found"),
    [
        ((0.1, 0.2), (0.1, 0.4), (0.1, 0.3)),
        ((-0.1, 0.1), (-0.3, 0.1), (-0.2, 0.1)),
        ((-0.05, 0.05), (-0.3, 0.3), (-0.15, 0.15)),
        ((0.1, 0.2), (0.1, 0.29), (0.1, 0.2)),
        ((0.1, 0.35), (0.1, 0.4), (0.1, 0.35)),
    ],
)
def test_a_range_becomes_as_wide_as_the_op_wants_towards_what_was_seen(
    bounds: tuple[float, float], seen: tuple[float, float], found: tuple[float, float]
) -> None:
    assert at_least(bounds, seen, 0.3) == pytest.approx(found)


def test_a_tanh_at_the_end_has_a_table_from_larger_values_on() -> None:
    nodes = [helper.make_node(op, ["x"], [op]) for op in ("Tanh", "Sigmoid")]
    graph = load(model(nodes, {"x": (1, 8)}, ["Tanh", "Sigmoid"], {}, 17))
    assert list(least_widths(graph.nodes)) == ["Sigmoid"]


def test_a_search_leaves_the_op() -> None:
    graph, _ = prepared(small("Sigmoid", -3.0), None, Settings())
    observed = dict.fromkeys(graph.computed_values(), (-1.0, 1.0)) | {"y": (0.0, 0.345)}
    found = searched_ranges(graph, observed, ["y"], feeds(-3.0, 4), lambda: None)
    assert least_widths(graph.nodes) == {"y": pytest.approx(0.3232)}
    assert found["y"] == (0.0, pytest.approx(0.3232))


def test_results_in_their_own_range_are_tried_for_packets() -> None:
    graph, _ = prepared(small("Sigmoid", -3.0), None, Settings())
    rows = [TensorNoise("y", "op", "first", 0.8, 0.5, 0.0, 0.5, 0.0)]
    ((only,),) = candidates(graph, {"y": (0.01, 0.5)}, rows)
    assert only == InOwnRange("y", pytest.approx(0.8 * 0.5 * 0.75))
    assert only.added(Precision()) == Precision(in_own_range=("y",))
    # Below 0.32 they have a table anyway.
    assert not candidates(graph, {"y": (0.01, 0.3)}, rows)


def test_results_in_their_own_range_are_rounded_less() -> None:
    proto, settings = small("Sigmoid", -3.0), Settings.of({"library": "v66"})
    known = Calibration(proto, None, KeptSamples(feeds(2.35)), None, settings)
    plain, own = (
        built(proto, *known.prepared(settings), dict(known.observed), settings, [], precision)
        for precision in (Precision(), Precision(in_own_range=("y",)))
    )
    assert "Table_8" in ops(own) and "Table_8" not in ops(plain)
    judge = Judge(load(proto), feeds(2.35, 4, 50), "v66")
    assert judge.score(own.graph).sqnr > judge.score(plain.graph).sqnr + 2.0


def test_high_spends_packets_on_it() -> None:
    proto = small("Sigmoid", -3.0)
    samples = [feed for seed in range(16) for feed in feeds(2.35, 1, seed)]
    high = hexconv.convert(proto, samples=samples, accuracy="high", extra_packets=300.0)
    assert high.conversion is not None
    kept = [step.name for step in high.conversion.refined if step.kept]
    assert "'y' in the range of its values" in kept and "Table_8" in ops(high)
