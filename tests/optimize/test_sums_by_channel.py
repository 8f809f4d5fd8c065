"""A sum of tensors times a number for each channel, which a norm reads, is one convolution."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper

import hexconv
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator import Simulator
from tests.lowering.proof import Array, emitted, float_outputs, model, numbers, same_on_the_library
from tests.optimize.proof import applied, converted

NAME = "sums_by_channel"
WIDTH, ROWS = 64, 7
SHAPE = (1, ROWS, WIDTH)
CONSTS = {
    "gamma": 1.0 + 0.3 * numbers((WIDTH,), 2),
    "beta": numbers((WIDTH,), 3),
    "axes": np.array([-1], np.int64),
    "one": np.float32(1.0),
}
FEEDS = {"x": numbers(SHAPE), "p": 0.5 * numbers(SHAPE, 5), "m": 0.05 * numbers((1, ROWS, 1), 6)}


def net(total: str = "s", also: str = "") -> ModelProto:
    """s / sqrt(mean(s * s) + 1) of s = x * gamma + beta + p - m."""
    nodes = [
        helper.make_node("Mul", ["x", "gamma"], ["g"]),
        helper.make_node("Add", ["g", "beta"], ["y"]),
        helper.make_node("Add", ["y", "p"], ["t"]),
        helper.make_node("Sub", ["t", "m"], ["s"]),
        helper.make_node("Mul", [total, total], ["q"]),
        helper.make_node("ReduceMean", ["q", "axes"], ["v"], keepdims=1),
        helper.make_node("Add", ["v", "one"], ["e"]),
        helper.make_node("Sqrt", ["e"], ["d"]),
        helper.make_node("Div", [total, "d"], ["out"]),
    ]
    outputs = ["out"]
    if also:
        nodes.append(helper.make_node("Relu", [also], ["other"]))
        outputs.append("other")
    shapes = {"x": SHAPE, "p": SHAPE, "m": (1, ROWS, 1)}
    return model(nodes, shapes, outputs, CONSTS)


def test_it_is_rounded_once() -> None:
    made = converted(net(), FEEDS)
    assert applied(made)[NAME] == 1
    assert emitted(made)["DepthwiseSupernode_8x8p32to8"] == 1
    assert "QuantizedSub_8p8to8" not in emitted(made)


@pytest.mark.parametrize("library", ["v60", "v65", "v66"])
def test_it_has_fewer_roundings_than_the_nodes_alone(library: LibraryVersion) -> None:
    proto = net()
    (wanted,) = float_outputs(proto, FEEDS)
    noise = []
    for without in ((), (NAME,)):
        made = converted(proto, FEEDS, without=without, library=library)
        same_on_the_library(made, FEEDS)
        found = Simulator(made, library).run(FEEDS)["out"]
        noise.append(float(((found - wanted) ** 2).mean()))
    assert noise[0] < 0.7 * noise[1]


def test_terms_of_unlike_ranges_keep_their_zero_points_apart() -> None:
    """Each tensor's codes are taken for those of the first: the bias makes up for the zeros."""
    feeds = {**FEEDS, "x": 4.0 + FEEDS["x"], "m": 0.3 + 0.01 * numbers((1, ROWS, 1), 6)}
    (wanted,) = float_outputs(net(), feeds)
    made = converted(net(), feeds)
    found = hexconv.simulate(made, feeds, library="v60")["out"]
    step = (wanted.max() - wanted.min()) / 255.0
    assert abs(float((found - wanted).mean())) < 0.5 * step


@pytest.mark.parametrize("also", ["t", "y"])
def test_a_part_that_something_else_reads_is_a_term(also: str) -> None:
    """It is computed anyway; of two terms a sum costs less."""
    assert NAME not in applied(converted(net(also=also), FEEDS))


def test_several_terms_may_have_one_number_a_row() -> None:
    proto = net()
    more = [
        helper.make_node("Add", ["y", "k"], ["z"]),
        helper.make_node("Add", ["z", "p"], ["t"]),
    ]
    nodes = [node for node in proto.graph.node if node.output[0] != "t"]
    nodes[2:2] = more
    shapes = {"x": SHAPE, "p": SHAPE, "m": (1, ROWS, 1), "k": (1, ROWS, 1)}
    proto = model(nodes, shapes, ["out"], CONSTS)
    feeds = {**FEEDS, "k": numbers((1, ROWS, 1), 8)}
    made = converted(proto, feeds)
    assert applied(made)[NAME] == 1
    (wanted,) = float_outputs(proto, feeds)
    found = hexconv.simulate(made, feeds, library="v60")["out"]
    assert np.abs(found - wanted).max() < 4.0 * (wanted.max() - wanted.min()) / 255.0


def with_positions(sizes: Array) -> ModelProto:
    """s = (x - m) * sizes + positions, of constant positions, and its norm."""
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["t"]),
        helper.make_node("Mul", ["t", "gamma"], ["g"]),
        helper.make_node("Add", ["g", "positions"], ["s"]),
        *net().graph.node[4:],
    ]
    consts = {
        **CONSTS,
        "gamma": sizes.astype(np.float32),
        "positions": (0.2 * numbers((1, ROWS, WIDTH), 9) * sizes).astype(np.float32),
    }
    return model(nodes, {"x": SHAPE, "m": (1, ROWS, 1)}, ["out"], consts)


@pytest.mark.parametrize("library", ["v60", "v65", "v66"])
@pytest.mark.parametrize("small", [0.5, 1.0 / 64.0])
def test_a_constant_for_each_position_is_a_term(library: LibraryVersion, small: float) -> None:
    """As positions at the start of a stream whose large channels are scaled down."""
    sizes = np.where(np.arange(WIDTH) % 16 == 5, small, 1.0)
    proto, feeds = with_positions(sizes), {name: FEEDS[name] for name in ("x", "m")}
    (wanted,) = float_outputs(proto, feeds)
    noise = []
    for without in ((), (NAME,)):
        made = converted(proto, feeds, without=without, library=library)
        assert applied(made).get(NAME, 0) == (not without)
        same_on_the_library(made, feeds)
        found = Simulator(made, library).run(feeds)["out"]
        noise.append(np.square((found - wanted) / sizes).mean(axis=(0, 1)))
    assert noise[0].mean() < 0.8 * noise[1].mean()


def test_up_to_32_channels_have_no_scales_of_their_own() -> None:
    narrow = {name: array[..., :32] for name, array in FEEDS.items()}
    consts = {
        name: np.asarray(array)[..., :32] if np.ndim(array) else array
        for name, array in CONSTS.items()
    }
    shapes = {"x": (1, ROWS, 32), "p": (1, ROWS, 32), "m": (1, ROWS, 1)}
    proto = model(net().graph.node, shapes, ["out"], consts)
    assert NAME not in applied(converted(proto, narrow))


def test_minmax_leaves_it_out() -> None:
    assert NAME not in applied(hexconv.convert(net(), samples=[FEEDS], accuracy="minmax"))
