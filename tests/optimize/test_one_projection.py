"""Projections of one input whose heads move alike are one product."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

import hexconv
from tests.lowering.proof import float_outputs, ints, model, numbers
from tests.optimize.proof import applied, better, converted, errors, ops

NAME = "one_projection"
TIME, WIDTH, HEADS, DEPTH = 12, 32, 2, 16
FEEDS = {"x": numbers((1, TIME, WIDTH))}
QUERY, KEY = (0, 2, 1, 3), (0, 2, 3, 1)


def attention(
    *,
    heads: tuple[int, int, int] = (HEADS, HEADS, HEADS),
    perms: tuple[tuple[int, ...], ...] = (QUERY, KEY, QUERY),
    scales: tuple[float, float, float] = (0.5, 0.05, 2.0),
    also: str = "",
    batch: int = 1,
    before: float = 1.0,
) -> ModelProto:
    """softmax(q k) v without the projection after it; the weights are of different sizes."""
    nodes: list[NodeProto] = []
    consts = {"f": np.float32(before)}
    for seed, (name, count, perm, scale) in enumerate(
        zip("qkv", heads, perms, scales, strict=True)
    ):
        consts[f"w{name}"] = scale * numbers((WIDTH, count * DEPTH), seed)
        consts[f"b{name}"] = scale * numbers((count * DEPTH,), seed + 9)
        consts[f"s{name}"] = ints(batch, TIME, count, DEPTH)
        nodes += [
            helper.make_node("MatMul", ["x", f"w{name}"], [f"m{name}"]),
            helper.make_node("Add", [f"m{name}", f"b{name}"], [f"a{name}"]),
            helper.make_node("Mul", [f"a{name}", "f"], [f"z{name}"]),
            helper.make_node("Reshape", [f"z{name}", f"s{name}"], [f"r{name}"]),
            helper.make_node("Transpose", [f"r{name}"], [name], perm=perm),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    return model(nodes, {"x": (batch, TIME, WIDTH)}, ["y", *([also] if also else [])], consts)


@pytest.mark.parametrize("before", [1.0, 0.25])
def test_queries_and_values_are_one_supernode_and_one_transpose(before: float) -> None:
    """Softmax of slopes in the tens turns the noise of the scores into jumps."""
    scales = (0.3 / before, 0.05 / before, 2.0)  # a softmax that is flat has another form
    on, off = better(attention(before=before, scales=scales), NAME, FEEDS, 8.0)
    assert ops(off)["Supernode_8x8p32to8"] == 3 and ops(on)["Supernode_8x8p32to8"] == 2
    assert ops(off)["Transpose_8"] == 3 and ops(on)["Transpose_8"] == 2
    assert ops(on)["QuantizedSplit_8"] == 1 and len(on.graph.nodes) < len(off.graph.nodes)


def test_no_part_is_compared_in_the_range_that_they_share() -> None:
    """The Split's values are those of q and v, its range is not."""
    nodes = converted(attention(), FEEDS).graph.nodes
    known = {node.origin.tensor for node in nodes if node.origin}
    assert {"scores", "p", "y"} <= known and not {"q", "v"} & known


def test_a_batch_keeps_its_examples_apart() -> None:
    feeds = {"x": numbers((3, TIME, WIDTH), 0)}
    better(attention(batch=3), NAME, feeds, 8.0)


def test_fewer_heads_of_keys_and_values_are_cut_out() -> None:
    """Grouped queries: the parts are unequal, which Split does not support."""
    on, off = better(attention(heads=(HEADS, 1, 1)), NAME, FEEDS, 8.0)
    assert ops(on)["QuantizedSlice_8"] == ops(off)["QuantizedSlice_8"] + 2


@pytest.mark.parametrize("also", ["aq", "zv", "rv"])
def test_what_is_requested_stays(also: str) -> None:
    proto = attention(also=also, before=0.5)
    on = converted(proto, FEEDS)
    assert NAME not in applied(on) and max(errors(on, proto, FEEDS)) <= 8.0


def pair(first: tuple[int, ...], second: tuple[int, ...], outlier: float = 0.0) -> ModelProto:
    """Two projections; one weight of the first, of a channel that is always zero, is `outlier`."""
    consts = {f"w{name}": numbers((WIDTH, HEADS * DEPTH), i) for i, name in enumerate("ab")}
    consts["wa"][0, 0] += outlier
    consts["s"] = ints(1, TIME, HEADS, DEPTH)
    nodes = []
    for name, perm in (("a", first), ("b", second)):
        nodes.append(helper.make_node("MatMul", ["x", f"w{name}"], [f"m{name}"]))
        nodes.append(helper.make_node("Reshape", [f"m{name}", "s"], [f"r{name}"]))
        nodes.append(helper.make_node("Transpose", [f"r{name}"], [f"y{name}"], perm=perm))
    return model(nodes, {"x": (1, TIME, WIDTH)}, ["ya", "yb"], consts)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (QUERY, QUERY, True),
        (KEY, KEY, True),
        (KEY, QUERY, False),
        (QUERY, (2, 0, 1, 3), False),
    ],
)
def test_only_heads_that_move_alike_are_joined(
    first: tuple[int, ...], second: tuple[int, ...], joined: bool
) -> None:
    proto = pair(first, second)
    on = converted(proto, FEEDS)
    assert (NAME in applied(on)) is joined and max(errors(on, proto, FEEDS)) <= 2.0


@pytest.mark.parametrize("scales", [(0.5, 0.005, 40.0), (0.2, 0.2, 1.0)])
def test_ranges_of_any_sizes_keep_their_bits(scales: tuple[float, float, float]) -> None:
    """Each part fills the range that they share: as exact as on its own, to a quarter."""
    proto = attention(scales=scales)
    samples = [{"x": numbers((1, TIME, WIDTH), seed)} for seed in range(8)]
    on = hexconv.convert(proto, samples=samples)
    off = hexconv.convert(proto, samples=samples, without=(NAME,))
    assert NAME in applied(on)
    noise = [
        sum(
            (
                (hexconv.simulate(m, feeds, library="v60")["y"] - float_outputs(proto, feeds)[0])
                ** 2
            ).sum()
            for feeds in samples
        )
        for m in (on, off)
    ]
    assert noise[0] <= 1.25**2 * noise[1]


def test_weights_that_would_lose_a_bit_stay_apart() -> None:
    feeds = {"x": FEEDS["x"] * (np.arange(WIDTH) > 0).astype(np.float32)}
    assert NAME in applied(converted(pair(QUERY, QUERY), feeds))
    assert NAME not in applied(converted(pair(QUERY, QUERY, outlier=50.0), feeds))
