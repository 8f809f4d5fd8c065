"""Scores of attention that no softmax sees take no levels."""

from __future__ import annotations

from math import log

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

import hexconv
from hexconv.calibrate.mask_ways import MARGIN
from hexconv.calibrate.score_ranges import KNOWN_MASK, bounded_scores
from hexconv.calibrate.softmax_rows import LOST, LOWEST_SCORE
from hexconv.nnlib.graph import Graph
from hexconv.onnx_graph import FloatGraph, load
from hexconv.quantize import Bounds
from tests.lowering.proof import Array, decibels, model, numbers

FRAMES, DEPTH = 40, 16
SHAPE = (1, 2, FRAMES, DEPTH)
SCORES = (1, 2, FRAMES, FRAMES)
VISIBLE = log(FRAMES / LOST)
LATER = np.triu(np.full((FRAMES, FRAMES), -1e4, np.float32), 1)
HIDDEN: dict[str, Array] = {"m": LATER, "later": LATER < 0.0, "far": np.array(-1e9, np.float32)}

JOINS: dict[str, tuple[list[NodeProto], float]] = {
    "none": ([], 0.0),
    "bias": ([helper.make_node("Add", ["b", "bias"], ["s"])], 0.0),
    "constant mask": ([helper.make_node("Add", ["m", "b"], ["s"])], KNOWN_MASK),
    "constant choice": ([helper.make_node("Where", ["later", "far", "b"], ["s"])], KNOWN_MASK),
    "computed mask": ([helper.make_node("Add", ["b", "given"], ["s"])], MARGIN),
}


def attention(join: str = "none", sharpness: float = 2.0) -> onnx.ModelProto:
    """softmax(q k' * sharpness, joined with something) v."""
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "kt"], ["a"]),
        helper.make_node("Mul", ["a", "sharpness"], ["b" if join != "none" else "s"]),
        *JOINS[join][0],
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    consts = {"sharpness": np.array(sharpness, np.float32), "bias": numbers(SCORES, 9), **HIDDEN}
    read = {name for node in nodes for name in node.input}
    inputs = {"q": SHAPE, "k": SHAPE, "v": SHAPE, "given": (1, 1, 1, FRAMES)}
    return model(
        nodes,
        {name: shape for name, shape in inputs.items() if name in read},
        ["y"],
        {name: array for name, array in consts.items() if name in read},
    )


def feeds(seed: int, join: str = "none") -> dict[str, Array]:
    """Rows of unlike maxima."""
    sizes = np.linspace(0.5, 1.0, FRAMES, dtype=np.float32)[:, None]
    found = {name: numbers(SHAPE, seed + place) for place, name in enumerate("qkv")}
    found["q"] = found["q"] * sizes
    if join == "computed mask":
        found["given"] = np.where(np.arange(FRAMES) < FRAMES - seed % 3, 0.0, -1e4)
        found["given"] = found["given"].astype(np.float32).reshape(1, 1, 1, FRAMES)
    return found


def least_of(graph: Graph) -> list[float]:
    """Where the ranges of the results of products start."""
    consts = {const.id: const.array for const in graph.consts}
    nodes = [node for node in graph.nodes if node.op == "Requantize_32to8"]
    return [float(consts[node.inputs[-2].node].item()) for node in nodes]


@pytest.mark.parametrize("join", JOINS)
def test_attention_gains_what_scores_out_of_sight_took(join: str) -> None:
    """1 to 2 dB of scores that reach three times as far as a softmax sees."""
    samples, proto = [feeds(10 * seed, join) for seed in range(4)], attention(join)
    plain = decibels(proto, samples, accuracy="minmax")
    assert decibels(proto, samples) > plain + (0.5 if join == "computed mask" else 1.0)


def loaded(join: str, top: float) -> tuple[FloatGraph, dict[str, Bounds]]:
    graph = load(attention(join))
    observed = {"a": (-20.0, 20.0), "b": (-40.0, 40.0), "s": (-40.0, 40.0), "p/top": (top, 40.0)}
    observed |= {"bias": (-1.0, 1.0), "given": (-1e4, 0.0)}
    return graph, {name: observed.get(name, (-1.0, 1.0)) for name in (*graph.values(), *observed)}


@pytest.mark.parametrize("join", JOINS)
def test_the_lowest_row_decides_where_the_range_starts(join: str) -> None:
    """What is masked in other runs may leave a row a lower maximum."""
    graph, observed = loaded(join, top=1.0)
    found, low = bounded_scores(graph, observed), 1.0 - VISIBLE - JOINS[join][1]
    assert found["s"] == (low, 40.0)
    most = float(numbers(SCORES, 9).max()) if join == "bias" else 0.0
    added = join != "constant choice"  # what is not chosen there is left as it is
    if added:
        assert found["a"][0] == pytest.approx((low - most) / 2.0)
    changed = {name for name in observed if found[name] != observed[name]}
    assert changed <= {"a", "b", "s"}


def test_short_rows_keep_what_has_half_a_level() -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["p"], axis=-1)]
    nodes.append(helper.make_node("MatMul", ["p", "v"], ["y"]))
    graph = load(model(nodes, {"x": (3, 4), "v": (4, 5)}, ["y"], {}))
    found = bounded_scores(graph, {"x": (-30.0, 30.0), "p/top": (0.0, 30.0)})
    assert found["x"] == (LOWEST_SCORE, 30.0)


def test_what_another_node_reads_is_left_alone() -> None:
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Relu", ["a"], ["other"]),
        helper.make_node("Neg", ["a"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    shapes = {"q": (6, 4), "k": (4, 6), "v": (6, 5)}
    graph = load(model(nodes, shapes, ["y", "other"], {}))
    observed = {"a": (-30.0, 30.0), "s": (-30.0, 30.0), "p/top": (0.0, 30.0)}
    found = bounded_scores(graph, observed)
    assert found == observed | {"s": (LOWEST_SCORE, 30.0)}


@pytest.mark.parametrize("reader", ["Log", "none"])
def test_probabilities_that_not_only_products_read_keep_all_scores(reader: str) -> None:
    """A logarithm tells small ones apart, and the application may."""
    nodes = [helper.make_node("Softmax", ["x"], ["p"], axis=-1)]
    nodes += [helper.make_node("MatMul", ["p", "v"], ["y"])]
    nodes += [helper.make_node("Log", ["p"], ["z"])] if reader == "Log" else []
    outputs = ["y", "z" if reader == "Log" else "p"]
    graph = load(model(nodes, {"x": (3, 8), "v": (8, 5)}, outputs, {}))
    observed = {"x": (-30.0, 30.0), "p/top": (0.0, 30.0)}
    assert bounded_scores(graph, observed) == observed


def test_probabilities_in_another_shape_count_as_well() -> None:
    """PaddleOCR's exporter takes the softmax of all heads as one matrix."""
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node("Reshape", ["a", "flat"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        helper.make_node("Reshape", ["p", "deep"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    consts: dict[str, Array] = {"flat": np.array([-1, FRAMES]), "deep": np.array(SCORES)}
    shapes = {"q": SHAPE, "k": (1, 2, DEPTH, FRAMES), "v": SHAPE}
    samples = [{n: 1.5 * numbers(s, i) for i, (n, s) in enumerate(shapes.items())}]
    made = hexconv.convert(model(nodes, shapes, ["y"], consts), samples=samples)
    start = made.ranges["p/top"][0] - VISIBLE
    assert made.ranges["a"][0] < start - 5.0
    assert least_of(made.graph)[0] == pytest.approx(start, abs=0.2)


def test_ranges_of_a_quantized_model_stay() -> None:
    graph, observed = loaded("none", top=1.0)
    graph.ranges["s"] = observed["s"]
    assert bounded_scores(graph, observed) == observed


def test_minmax_covers_all_scores() -> None:
    samples = [feeds(seed) for seed in range(2)]
    made = hexconv.convert(attention(), samples=samples, accuracy="minmax")
    assert least_of(made.graph)[0] == pytest.approx(made.ranges["a"][0], rel=0.01)
