"""Flat attention: scores less their means share one maximum, and exp is computed by products."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import hexconv
from hexconv.calibrate.exp_by_products import exp_by_products
from hexconv.calibrate.softmax_noise import softmax_noise
from hexconv.calibrate.softmax_rows import softmax_nodes
from hexconv.cost import predict
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.onnx_graph.builder import FloatBuilder
from hexconv.onnx_graph.session import FloatSession
from hexconv.quantize import Bounds
from tests.lowering.proof import Array, decibels, model, numbers

FRAMES, DEPTH = 150, 16


@pytest.mark.parametrize(
    "bounds",
    [(-0.5, 0.2), (-1.0, 1.5), (-2.0, 5.0), (1.0, 3.0), (0.5, 0.5), (-1e-15, 0.0), (0.0, 1e-6)],
)
def test_exp_by_products_is_right_to_4_percent(bounds: Bounds) -> None:
    """Its parabola is interpolated at three points, and squared up to three times; rows of equal
    scores leave next to no width."""
    shape = (1, 101)
    graph = load(model([helper.make_node("Neg", ["x"], ["y"])], {"x": shape}, ["y"]))
    builder = FloatBuilder(graph.graph)

    def make(op: str, inputs: list[Any], found: Bounds) -> ir.Value:
        return builder.op(op, inputs)

    value = exp_by_products(graph.graph.inputs[0], bounds, make)
    graph.graph.outputs.append(value)
    x = np.linspace(*bounds, 101, dtype=np.float32)[None]
    made = FloatSession(graph, [str(value.name)]).run({"x": x})[str(value.name)]
    np.testing.assert_allclose(made, np.exp(x - bounds[1]), rtol=0.04)


def attention(
    scale: str = "Mul", mask: bool = False, sharpness: float = 0.025, heads: int = 1
) -> onnx.ModelProto:
    """Of queries and keys with a large mean over the frames: rows of scores differ by it."""
    shape = (1, heads, FRAMES, DEPTH)
    factor = np.float32(sharpness if scale == "Mul" else 1.0 / sharpness)
    nodes = [
        helper.make_node("Add", ["q", "mean"], ["m"]),
        helper.make_node("Transpose", ["m"], ["k"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "k"], ["a"]),
        helper.make_node(scale, ["a", "factor"], ["b"]),
        helper.make_node("Add", ["b", "mask"], ["s"]) if mask else None,
        helper.make_node("Softmax", ["s" if mask else "b"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    hidden = np.where(np.arange(FRAMES) < FRAMES // 2, 0.0, -1e4)
    consts = {"factor": factor, "mean": numbers((DEPTH,), 7), "mask": np.float32(hidden)}
    if not mask:
        del consts["mask"]
    kept = [node for node in nodes if node is not None]
    return model(kept, {"q": shape, "v": shape}, ["y"], consts)


def feeds(seed: int, heads: int = 1) -> dict[str, Array]:
    shape = (1, heads, FRAMES, DEPTH)
    return {"q": numbers(shape, seed), "v": numbers(shape, seed + 50) + np.float32(0.5)}


def ops(made: Model) -> set[str]:
    return {node.op for node in made.graph.nodes}


def is_centered(made: Model) -> bool:
    return any(const.name.startswith("p/centered_scores") for const in made.graph.consts)


@pytest.mark.parametrize("scale", ["Mul", "Div"])
@pytest.mark.parametrize("sharpness", [0.025, 0.05])
def test_flat_probabilities_need_no_table_and_no_maxima(scale: str, sharpness: float) -> None:
    """`decibels` compares with the library as well, where it is at hand."""
    proto, held = attention(scale, sharpness=sharpness), [feeds(20)]
    made = hexconv.convert(proto, samples=[feeds(seed) for seed in range(3)])
    before = hexconv.convert(proto, samples=[feeds(0)], accuracy="minmax")
    assert is_centered(made) and not {"QuantizedSoftmax_8", "QuantizedMaxPool_8"} & ops(made)
    assert not is_centered(before)
    packets = [predict(model, "v66").packets for model in (made, before)]
    assert packets[0] < 0.8 * packets[1]
    assert decibels(proto, held, ranges=made.ranges) > 36.0


def test_a_range_file_gives_the_same_bytes() -> None:
    made = hexconv.convert(attention(), samples=[feeds(seed) for seed in range(3)])
    again = hexconv.convert(attention(), ranges=made.ranges)
    assert again.graph.consts == made.graph.consts


def walks(seed: int) -> dict[str, Array]:
    """Queries that walk away from 0 in every second sample, and stay around it in the others."""
    found = feeds(seed)
    queries = found["q"] if seed % 2 else 0.3 * np.cumsum(found["q"], axis=2)
    return {**found, "q": np.asarray(queries, np.float32)}


def test_rows_far_below_the_others_keep_their_own_maximum() -> None:
    """Of one maximum for all of them 2 of 255 levels would be left to the flat samples."""
    made = hexconv.convert(attention(sharpness=0.03), samples=[walks(s) for s in range(4)])
    assert not is_centered(made)
    assert "QuantizedMaxPool_8" in ops(made)


@pytest.mark.parametrize("sharpness", [0.025, 0.05])
def test_the_noise_is_as_estimated(sharpness: float) -> None:
    """Within 2 dB of the simulator's; the inputs are rounded too."""
    proto, held = attention(sharpness=sharpness), [feeds(seed) for seed in range(20, 24)]
    made = hexconv.convert(proto, samples=[feeds(seed) for seed in range(8)])
    node = next(softmax_nodes(load(proto)))
    noise = softmax_noise(node, made.ranges)
    assert noise is not None
    assert noise.centered < noise.own < noise.library
    estimated = 10.0 * np.log10(12.0 * 255.0**2 * noise.power / noise.centered)
    assert decibels(proto, held, ranges=made.ranges) == pytest.approx(estimated, abs=2.0)


def test_masked_scores_keep_their_maxima() -> None:
    """The mean of a row would be that of its mask."""
    samples = [feeds(seed) for seed in range(3)]
    masked = hexconv.convert(attention(mask=True), samples=samples)
    assert not is_centered(masked)
