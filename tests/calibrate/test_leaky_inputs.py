"""What only a LeakyRelu reads has a range of least error behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.calibrate import measure, read_statistics, write_statistics
from hexconv.calibrate.histogram import Histogram
from hexconv.calibrate.leaky_inputs import slopes_behind
from hexconv.onnx_graph import load
from hexconv.quantize import Bounds, cover
from tests.lowering.proof import Array, decibels, ints, model, numbers

SHAPE = (1, 8, 16, 16)


def network(*nodes: object, outputs: tuple[str, ...] = ("y",)) -> ModelProto:
    """A convolution `c` of `x`, and some nodes behind it."""
    consts = {
        "w": numbers((8, 8, 3, 3), 2) / 8.0,
        "v": numbers((8, 8, 3, 3), 3) / 8.0,
        "slopes": np.geomspace(0.05, 0.2, 8).astype(np.float32).reshape(8, 1, 1),
        "falling": np.full((8, 1, 1), -0.1, np.float32),
        "flat": ints(1, 8, 256),
    }
    conv = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1])
    used = {name for node in nodes for name in node.input}  # type: ignore[attr-defined]
    kept = {name: array for name, array in consts.items() if name in used | {"w"}}
    return model([conv, *nodes], {"x": SHAPE}, list(outputs), kept)  # type: ignore[list-item]


def leaky(source: str, result: str, slope: float = 0.1) -> object:
    return helper.make_node("LeakyRelu", [source], [result], alpha=slope)


@pytest.mark.parametrize(
    ("nodes", "outputs", "expected"),
    [
        ([leaky("c", "y")], ("y",), 0.1),
        ([helper.make_node("PRelu", ["c", "slopes"], ["y"])], ("y",), 0.2),
        ([leaky("c", "y"), leaky("c", "z", 0.25)], ("y", "z"), 0.25),
        (
            [
                helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
                helper.make_node("Relu", ["p"], ["r"]),
                leaky("r", "y"),
            ],
            ("y",),
            None,
        ),
        (
            [
                helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
                leaky("p", "y"),
            ],
            ("y",),
            0.1,
        ),
        ([helper.make_node("Reshape", ["c", "flat"], ["p"]), leaky("p", "y")], ("y",), 0.1),
        ([leaky("c", "l"), helper.make_node("Add", ["l", "c"], ["y"])], ("y",), None),
        ([leaky("c", "y")], ("y", "c"), None),
        ([leaky("c", "y", 0.5)], ("y",), None),
        ([helper.make_node("PRelu", ["c", "falling"], ["y"])], ("y",), None),
    ],
)
def test_only_readers_of_smaller_negative_values_count(
    nodes: list[object], outputs: tuple[str, ...], expected: float | None
) -> None:
    found = slopes_behind(load(network(*nodes, outputs=outputs)).nodes)
    assert found.get("c") == (None if expected is None else pytest.approx(expected))


def error_behind(values: Array, ends: Bounds, slope: float) -> float:
    """The mean squared error of LeakyRelu's result, of values in 256 levels."""
    span = cover(*ends)
    levels = np.clip(np.rint(values / span.step), -span.zero, 255 - span.zero) * span.step
    error = (levels - np.float64(values)) * np.where(values < 0.0, slope, 1.0)
    return float((error**2).mean())


@pytest.mark.parametrize(("slope", "left"), [(0.01, 0.75), (0.1, 0.85), (0.3, 0.97)])
def test_the_negative_end_comes_nearer_where_the_error_behind_falls(
    slope: float, left: float
) -> None:
    values = numbers((20000,))
    histogram = Histogram()
    histogram.add(values)
    seen = (histogram.low, histogram.high)
    found = histogram.behind_slope(slope, narrowed=False)
    assert seen[0] < found[0] < 0.0 and found[1] == seen[1]
    assert error_behind(values, found, slope) < left * error_behind(values, seen, slope)
    both = histogram.behind_slope(slope, narrowed=True)
    least = histogram.least_error()
    assert both[1] <= seen[1]
    assert error_behind(values, both, slope) < error_behind(values, least, slope)


def test_silence_and_positive_values_keep_their_range() -> None:
    for values in (np.zeros(50, np.float32), np.abs(numbers((50,)))):
        histogram = Histogram()
        histogram.add(values)
        found = histogram.behind_slope(0.1, narrowed=False)
        assert found == (histogram.low, histogram.high)


def test_outputs_are_better() -> None:
    """By 0.5 dB, on samples that nothing has seen; all of the range serves where more reads it."""
    behind = helper.make_node("Conv", ["l", "v"], ["y"], pads=[1, 1, 1, 1])
    proto = network(leaky("c", "l", 0.01), behind)
    samples = [{"x": numbers(SHAPE, seed)} for seed in range(40, 56)]
    narrowed = hexconv.convert(proto, samples=samples)
    whole = hexconv.convert(proto, samples=samples, observer="minmax")
    assert whole.ranges["c"][0] < 1.2 * narrowed.ranges["c"][0]
    held = [{"x": numbers(SHAPE, seed)} for seed in range(60, 64)]
    after, before = (
        decibels(proto, held, ranges=dict(found.ranges)) for found in (narrowed, whole)
    )
    assert after > before + 0.5


def test_statistics_in_files_have_the_slopes(tmp_path: Path) -> None:
    graph = load(network(leaky("c", "y")))
    found = measure(graph, [{"x": numbers(SHAPE, seed)} for seed in range(3)], "mse")
    assert found.watched.slopes == {"c": pytest.approx(0.1)}
    write_statistics(tmp_path / "part.npz", found)
    again = read_statistics(tmp_path / "part.npz")
    assert again.watched == found.watched and again.ranges() == found.ranges()
