"""Norms over rows of unlike loudness are right for the quiet rows too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import GraphError
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession
from tests.lowering.proof import Array, model, same_on_the_library

SHAPE = ROWS, WIDTH = 40, 64
ONES, ZEROS = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def layer_norm() -> onnx.ModelProto:
    nodes = [helper.make_node("LayerNormalization", ["x", "s", "b"], ["y"], epsilon=1e-5)]
    return model(nodes, {"x": SHAPE}, ["y"], {"s": ONES, "b": ZEROS})


def rms_norm() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Pow", ["x", "two"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axes"], ["mean"]),
        helper.make_node("Add", ["mean", "epsilon"], ["sum"]),
        helper.make_node("Sqrt", ["sum"], ["root"]),
        helper.make_node("Div", ["x", "root"], ["y"]),
    ]
    consts: dict[str, Array] = {
        "two": np.array(2, np.float32),
        "axes": np.array([-1]),
        "epsilon": np.array(1e-6, np.float32),
    }
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def l2_norm() -> onnx.ModelProto:
    nodes = [helper.make_node("LpNormalization", ["x"], ["y"], axis=-1, p=2)]
    return model(nodes, {"x": SHAPE}, ["y"], {})


def samples(spread: float, count: int = 4) -> list[dict[str, Array]]:
    """Rows whose loudness is uniform in the logarithm over [1/spread, 1]."""
    made = []
    for seed in range(count):
        generator = np.random.default_rng(seed)
        loudness = np.exp(generator.uniform(-np.log(spread), 0, (ROWS, 1)))
        made.append({"x": (loudness * generator.standard_normal(SHAPE)).astype(np.float32)})
    return made


def eight_bit(values: Array, ends: Array) -> Array:
    low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)
    step = (high - low) / 255
    return (np.round(values / step) * step).astype(np.float32)


def decibels(wanted: Array, got: Array) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


@pytest.mark.parametrize("norm", [layer_norm, rms_norm, l2_norm])
@pytest.mark.parametrize("spread", [3, 10, 30, 100])
def test_quiet_rows_are_as_right_as_8_bits_allow(
    norm: Callable[[], onnx.ModelProto], spread: float
) -> None:
    # Rows are scaled in the range of each run, which is narrower than calibration's.
    assert beside_ideal(norm(), samples(spread)) > (0.0 if spread > 3 else -1.5)


@pytest.mark.parametrize("read", ["square", "mean", "sum", "root"])
def test_what_else_reads_a_part_of_a_norm_keeps_it(read: str) -> None:
    proto = rms_norm()
    proto.graph.output.append(helper.make_empty_tensor_value_info(read))
    feeds = samples(30)
    assert beside_ideal(proto, feeds) > 0.0
    made, wanted = hexconv.convert(proto, samples=feeds), FloatSession(load(proto)).run(feeds[0])
    # The root of the smallest 8-bit variances is 0.
    assert decibels(wanted[read], hexconv.simulate(made, feeds[0])[read]) > 25.0


@pytest.mark.parametrize("read", ["difference", "mean", "sum"])
def test_what_is_read_beside_a_norm_keeps_its_range(read: str) -> None:
    """A norm alone computes x - mean(x) in a range as wide as that of x in each run."""
    proto = rms_norm()
    for node in proto.graph.node:
        node.input[:] = ["difference" if name == "x" else name for name in node.input]
    middle = [
        helper.make_node("ReduceMean", ["x", "axes"], ["middle"]),
        helper.make_node("Sub", ["x", "middle"], ["difference"]),
    ]
    nodes = [*middle, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.output.append(helper.make_empty_tensor_value_info(read))
    generator = np.random.default_rng(2)
    feeds = [{"x": (generator.exponential(size=SHAPE) - 0.3).astype(np.float32)} for _ in range(4)]
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    found = [decibels(session.run(x)[read], hexconv.simulate(made, x)[read]) for x in feeds]
    assert min(found) > 36.0


def test_a_mean_that_something_else_reads_has_the_range_of_means() -> None:
    """As where a forecast is scaled back: 255 levels of the rows themselves have 16 for means."""
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["v"], alpha=0.9),
        helper.make_node("LayerNormalization", ["v", "s", "b"], ["y", "m"], epsilon=1e-5),
    ]
    proto, feeds = model(nodes, {"x": SHAPE}, ["y", "m"], {"s": ONES, "b": ZEROS}), samples(30)
    made, wanted = hexconv.convert(proto, samples=feeds), FloatSession(load(proto)).run(feeds[0])
    got = hexconv.simulate(made, feeds[0])
    assert decibels(wanted["m"], got["m"]) > 25.0
    assert decibels(wanted["y"], got["y"]) > 21.0


def beside_ideal(proto: onnx.ModelProto, feeds: list[dict[str, Array]]) -> float:
    """dB more than 8 bits at both ends have with exact arithmetic between, means over samples."""
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    wanted = np.stack([session.run(feed)["y"] for feed in feeds])
    inputs = np.stack([feed["x"] for feed in feeds])
    ideal = [session.run({"x": eight_bit(x, inputs)})["y"] for x in inputs]
    got = [hexconv.simulate(made, feed)["y"] for feed in feeds]
    gains = [
        decibels(w, g) - decibels(w, eight_bit(i, wanted))
        for w, i, g in zip(wanted, ideal, got, strict=True)
    ]
    return float(np.mean(gains))


@pytest.mark.parametrize("spread", [3, 10, 30])
def test_rows_that_reach_farther_around_their_means_are_not_rounded_twice(spread: float) -> None:
    # The loudest row of some samples is the quietest of others: x - mean(x) spreads wider than x.
    loudness = np.exp(np.random.default_rng(99).uniform(-np.log(spread), 0, (ROWS, 1)))
    feeds = []
    for seed in range(6):
        x = loudness * np.random.default_rng(seed).standard_normal(SHAPE)
        feeds.append({"x": (x * (-1) ** seed + loudness * (x > 2)).astype(np.float32)})
    assert beside_ideal(layer_norm(), feeds) > -1.0


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_silent_rows_leave_the_others_their_levels(norm: Callable[[], onnx.ModelProto]) -> None:
    feeds = samples(10)
    for feed in feeds:
        feed["x"][::7] = 0.0
    assert beside_ideal(norm(), feeds) > 0.0


@pytest.mark.parametrize("norm", [layer_norm, rms_norm, l2_norm])
@pytest.mark.parametrize("loudness", [1e-3, 0.1, 1.0, 3.0, 10.0])
def test_rows_are_scaled_at_the_loudness_of_a_run(
    norm: Callable[[], onnx.ModelProto], loudness: float
) -> None:
    proto = norm()
    feeds = samples(10)
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    run = {"x": feeds[0]["x"] * np.float32(loudness)}
    same_on_the_library(made, run)
    # What is louder than calibration saw keeps its rows' shape, clipped; what is quieter is silent.
    clipped = {"x": np.clip(run["x"], feeds[0]["x"].min(), feeds[0]["x"].max())}
    wanted, got = session.run(clipped)["y"], hexconv.simulate(made, run)["y"]
    if loudness >= 1.0:
        loud = np.abs(feeds[0]["x"]).max(axis=1) > 1.0 / loudness
        assert decibels(wanted[loud], got[loud]) > (20.0 if loudness == 1.0 else 3.0)
    assert (
        np.isfinite(got).all()
        and np.abs(got).max() <= 1.1 * np.abs(session.run(feeds[0])["y"]).max()
    )


def group_norm() -> onnx.ModelProto:
    """Of the 10 groups of 4 rows each, as exporters write it."""
    nodes = [
        helper.make_node("Reshape", ["x", "apart"], ["grouped"]),
        helper.make_node("InstanceNormalization", ["grouped", "s", "b"], ["normal"]),
        helper.make_node("Reshape", ["normal", "together"], ["y"]),
    ]
    consts: dict[str, Array] = {
        "apart": np.array([1, ROWS // 4, 4 * WIDTH]),
        "together": np.array(SHAPE),
        "s": ONES[: ROWS // 4],
        "b": ZEROS[: ROWS // 4],
    }
    return model(nodes, {"x": SHAPE}, ["y"], consts)


def rows_around(
    mean: str, amount: float, spread: float, together: int = 1
) -> list[dict[str, Array]]:
    """Rows of unlike loudness around a mean: the same, one of each row's own, or in proportion.

    As many as `together` have one loudness and one mean.
    """
    feeds = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        sizes = ROWS // together, 1
        loudness = np.exp(generator.uniform(-np.log(spread), 0, sizes))
        added = {"same": 1.0, "own": generator.uniform(-1, 1, sizes), "in proportion": loudness}
        loudness, around = (
            np.broadcast_to(each, sizes).repeat(together, 0) for each in (loudness, added[mean])
        )
        values = loudness * generator.standard_normal(SHAPE) + amount * around
        feeds.append({"x": values.astype(np.float32)})
    return feeds


@pytest.mark.parametrize("spread", [10, 30, 100])
@pytest.mark.parametrize(
    ("mean", "amount"), [("own", 0.05), ("own", 3.0), ("same", 0.2), ("in proportion", 3.0)]
)
@pytest.mark.parametrize("norm", [layer_norm, group_norm])
def test_rows_around_a_mean_are_as_right_as_8_bits_allow(
    norm: Callable[[], onnx.ModelProto], mean: str, amount: float, spread: float
) -> None:
    proto = norm()
    feeds = rows_around(mean, amount, spread, together=4 if norm is group_norm else 1)
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    same_on_the_library(made, feeds[0])
    inputs = np.stack([feed["x"] for feed in feeds])
    wanted = np.stack([session.run(feed)["y"] for feed in feeds])
    ideal = np.stack([session.run({"x": eight_bit(x, inputs)})["y"] for x in inputs])
    got = np.stack([hexconv.simulate(made, feed)["y"] for feed in feeds])
    assert decibels(wanted, got) > decibels(wanted, eight_bit(ideal, wanted)) - 2.0


def test_quieter_samples_that_lie_otherwise_around_their_mean_are_not_clipped() -> None:
    """The loudest sample reaches far below its mean, the other one as far above its own."""
    skewed = np.exp(np.random.default_rng(0).standard_normal(SHAPE)).astype(np.float32)
    proto, feeds = layer_norm(), [{"x": 1 - skewed / 2}, {"x": skewed / 6 - np.float32(0.3)}]
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    for feed in feeds:
        assert decibels(session.run(feed)["y"], hexconv.simulate(made, feed)["y"]) > 20.0


@pytest.mark.parametrize("loudness", [0.0, 1e-12, 1e-3, 0.1, 1.0, 3.0, 10.0, 1e6])
def test_rows_around_a_mean_are_scaled_at_the_loudness_of_a_run(loudness: float) -> None:
    proto, feeds = layer_norm(), rows_around("in proportion", 1.0, 10)
    made = hexconv.convert(proto, samples=feeds)
    run = {"x": (feeds[0]["x"] * loudness).astype(np.float32)}
    if loudness == 1e6:
        with pytest.raises(GraphError, match="the input 'x' is too loud"):
            hexconv.simulate(made, run)
        return
    same_on_the_library(made, run)
    wanted, got = FloatSession(load(proto)).run(run)["y"], hexconv.simulate(made, run)["y"]
    assert np.abs(got).max() <= 1.1 * np.abs(FloatSession(load(proto)).run(feeds[0])["y"]).max()
    if loudness == 1.0:
        assert decibels(wanted, got) > 27.0
    if loudness == 0.0:
        assert not got.any()


def test_a_mean_that_is_read_elsewhere_keeps_its_range() -> None:
    """Means of quantized values in another range than the run's are of no use to others."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "s", "b"], ["normal", "mean"], epsilon=1e-5),
        helper.make_node("Add", ["normal", "mean"], ["y"]),
    ]
    proto = model(nodes, {"x": SHAPE}, ["y"], {"s": ONES, "b": ZEROS})
    feeds = rows_around("own", 3.0, 10)
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    same_on_the_library(made, feeds[0])
    wanted = np.stack([session.run(feed)["y"] for feed in feeds])
    got = np.stack([hexconv.simulate(made, feed)["y"] for feed in feeds])
    assert decibels(wanted, got) > 22.0


@pytest.mark.parametrize("loudness", [1.0, 1000.0])
def test_a_silent_row_stays_silent(loudness: float) -> None:
    """Its variance is epsilon, which is nothing beside that of loud rows."""
    feeds = samples(30)
    for feed in feeds:
        feed["x"] *= loudness
        feed["x"][3] = 0.0
    made = hexconv.convert(layer_norm(), samples=feeds)
    assert not hexconv.simulate(made, feeds[0])["y"][3].any()


@pytest.mark.parametrize(("spread", "scaled"), [(1, False), (30, True)])
def test_rows_of_one_loudness_cost_nothing_more(spread: float, scaled: bool) -> None:
    made = hexconv.convert(layer_norm(), samples=samples(spread))
    assert ("QuantizedMaxPool_8" in made.graph.histogram()) is scaled


def test_a_single_row_of_few_values_is_not_clipped() -> None:
    """These rows lie around their means from -0.51 to 0.60 of their width."""
    rows = np.float32(
        [
            [1.02, -2.17, -1.52, -0.91, 1.12],
            [1.5, -0.8, 1.04, 0.09, -0.31],
            [-0.29, 0.14, 0.71, 0.06, -0.05],
        ]
    )
    consts = {"s": np.ones(5, np.float32)}
    node = helper.make_node("LayerNormalization", ["x", "s"], ["y"])
    proto = model([node], {"x": (1, 5)}, ["y"], consts)
    feeds = [{"x": row[None]} for row in rows]
    made, session = hexconv.convert(proto, samples=feeds), FloatSession(load(proto))
    same_on_the_library(made, feeds[0])
    wanted = np.stack([session.run(feed)["y"] for feed in feeds])
    got = np.stack([hexconv.simulate(made, feed)["y"] for feed in feeds])
    assert decibels(wanted, got) > 34.0
