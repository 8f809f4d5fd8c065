"""Ranges are those of the values that ONNX Runtime computes, whatever watches them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest

from hexconv.calibrate import measure, observe, synthetic_samples
from hexconv.calibrate.histogram import Histogram
from hexconv.errors import ConfigError, RangeError
from hexconv.onnx_graph import FloatGraph, load
from hexconv.onnx_graph.session import FloatSession
from tests.onnx_graph.models import model, node


def network() -> FloatGraph:
    """Every way in which a range comes about: measured, derived by each kind of rule, constant."""
    generator = np.random.default_rng(3)
    nodes = [
        node("MatMul", "x w", "m"),
        node("Add", "m b", "a"),
        node("Relu", "a", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        node("Mul", "t minus", "s"),
        node("Sub", "one s", "u"),
        node("Div", "u two", "d"),
        node("Clip", "d low high", "c"),
        node("Neg", "c", "n"),
        node("Reshape", "n shape", "flat"),
        node("Softmax", "flat", "p", axis=-1),
        node("Sqrt", "p", "y"),
    ]
    consts = {
        "w": generator.standard_normal((6, 8)),
        "b": generator.standard_normal(8),
        "minus": -1.5,
        "one": 1.0,
        "two": [2.0],
        "low": -3.0,
        "high": 1.25,
        "shape": np.array([1, 40], np.int64),
    }
    return load(model(nodes, {"x": (1, 5, 6)}, consts=consts))


def every_float(graph: FloatGraph) -> list[str]:
    return [name for name in graph.values() if graph.const(name) is None]


def measured(graph: FloatGraph, count: int) -> dict[str, tuple[float, float]]:
    session = FloatSession(graph, every_float(graph))
    results = [session.run(feeds) for feeds in synthetic_samples(graph, count=count)]
    return {
        name: (
            float(min(result[name].min() for result in results)),
            float(max(result[name].max() for result in results)),
        )
        for name in results[0]
    }


@pytest.mark.parametrize("count", [1, 2, 9])
def test_min_max_is_exact_for_every_value(count: int) -> None:
    graph = network()
    ranges = observe(graph, synthetic_samples(graph, count=count))
    for name, bounds in measured(graph, count).items():
        np.testing.assert_allclose(ranges[name], bounds, rtol=1e-6, err_msg=name)
    weights = graph.const("w")
    assert weights is not None and ranges["w"] == (weights.min(), weights.max())


def test_the_percentile_of_a_tail_is_that_of_all_values() -> None:
    graph = load(
        model([node("Mul", "x w", "y")], {"x": (1, 50000)}, consts={"w": np.ones(50000) * 3})
    )
    generator = np.random.default_rng(0)
    samples = [
        {"x": generator.standard_normal((1, 50000)).astype(np.float32) * scale}
        for scale in (0.1, 1.0, 5.0)
    ]
    low, high = observe(graph, samples, "percentile", 99.9)["y"]
    everything = 3 * np.concatenate([sample["x"] for sample in samples], axis=None)
    np.testing.assert_allclose([low, high], np.percentile(everything, [0.1, 99.9]), rtol=5e-3)


def test_the_hundredth_percentile_is_the_maximum() -> None:
    graph = network()
    exact = observe(graph, synthetic_samples(graph))
    all_values = observe(graph, synthetic_samples(graph), "percentile", 100.0)
    for name, bounds in exact.items():
        np.testing.assert_allclose(all_values[name], bounds, rtol=1e-5, atol=1e-7)


def test_samples_are_drawn_as_they_are_used() -> None:
    graph = network()
    drawn: list[int] = []

    def stream() -> Iterator[dict[str, np.ndarray]]:
        for number, feeds in enumerate(synthetic_samples(graph, count=50)):
            drawn.append(number)
            yield feeds

    ahead: list[int] = []
    observe(graph, stream(), progress=lambda done: ahead.append(len(drawn) - done))
    assert len(drawn) == 50 and max(ahead) <= 5


def test_no_samples() -> None:
    with pytest.raises(RangeError, match="no samples"):
        observe(network(), [])


def test_a_tensor_that_overflows_is_named() -> None:
    graph = load(model([node("Exp", "x", "big"), node("Relu", "big", "y")], {"x": (2,)}))
    with pytest.raises(RangeError, match=r"'big' becomes NaN or infinite\n.*sample 1"):
        observe(graph, [{"x": np.zeros(2, "f")}, {"x": np.full(2, 1e4, "f")}])


def test_a_percentile_that_is_none() -> None:
    with pytest.raises(ConfigError, match="percentile 20"):
        observe(network(), [], "percentile", 20.0)


def test_synthetic_samples_fill_the_range_and_are_the_same_each_time() -> None:
    graph = network()
    first, again = (list(synthetic_samples(graph, {"x": (-2, 3)}, count=4)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["x"], other["x"])
        assert one["x"].min() >= -2 and one["x"].max() <= 3
    assert first[1]["x"].min() == -2 and first[1]["x"].max() == 3


@pytest.mark.parametrize("ranges", [{"y": (0, 1)}, {"x": (1, 1)}, {"x": (0, float("inf"))}])
def test_synthetic_ranges_that_are_none(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(RangeError):
        list(synthetic_samples(network(), ranges))


def test_a_histogram_counts_the_same_in_any_order() -> None:
    generator = np.random.default_rng(1)
    chunks = [generator.standard_normal(1000).astype("f") * scale for scale in (1e-3, 1, 40, 0)]
    one, other = Histogram(), Histogram()
    for chunk in chunks:
        one.add(chunk)
    for chunk in reversed(chunks):
        other.add(chunk)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert int(one.counts.sum()) == 4000 and one.bounds(99.0) == other.bounds(99.0)


def test_a_histogram_of_zeros() -> None:
    histogram = Histogram()
    histogram.add(np.zeros(5, np.float32))
    assert histogram.bounds(99.0) == (0.0, 0.0)


def test_weights_over_the_size_of_a_proto_are_no_obstacle() -> None:
    """Large weights reach ONNX Runtime as memory; here one just above the threshold."""
    graph = load(model([node("MatMul", "x w", "y")], {"x": (1, 300)}, consts={"w": np.eye(300)}))
    feeds = {"x": np.arange(300, dtype=np.float32)[None]}
    np.testing.assert_array_equal(FloatSession(graph).run(feeds)["y"], feeds["x"])
    assert isinstance(graph.to_proto(), onnx.ModelProto)


def test_some_values_alone_have_the_ranges_that_they_have_among_all() -> None:
    """What they follow from is observed with them, and nothing else."""
    graph = network()
    samples = list(synthetic_samples(graph, count=4))
    whole = measure(graph, samples, "mse").ranges()
    part = measure(graph, samples, "mse", only={"c"})
    assert part.watched.observed == ["a"] and "c" in part.watched.values
    ranges = part.ranges()
    assert "m" not in ranges and {name: whole[name] for name in ranges} == ranges
