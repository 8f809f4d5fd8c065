"""The mean of squares minus the square of the mean becomes the mean of squared differences."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.lowering.proof import decibels
from tests.onnx_graph.models import model, node, ops, same_outputs

SHAPE = (2, 5, 8)
CONSTS = {
    "axes": np.array([-1], np.int64),
    "two": 2.0,
    "zero": 0.0,
    "eps": 1e-5,
    "part": 1 / 8,
    "count": 8.0,
    "less": 1 / 7,
    "kept": np.array([2, 5, 1], np.int64),
    "gamma": np.linspace(0.5, 2, 8),
    "beta": np.linspace(-1, 1, 8),
}
SQUARE = [node("Mul", "x x", "q")]
MEANS = {
    "mean": [node("ReduceMean", "x axes", "m"), node("ReduceMean", "q axes", "mq")],
    "sum * 1/n": [
        node("ReduceSum", "x axes", "s"),
        node("Mul", "s part", "m"),
        node("ReduceSum", "q axes", "sq"),
        node("Mul", "part sq", "mq"),
    ],
    "sum / n": [
        node("ReduceSum", "x axes", "s"),
        node("Div", "s count", "m"),
        node("ReduceSum", "q axes", "sq"),
        node("Div", "sq count", "mq"),
    ],
}
DIFFERENCE = [node("Mul", "m m", "mm"), node("Sub", "mq mm", "v0")]
BOUNDS = {
    "none": [node("Identity", "v0", "v")],
    "max": [node("Max", "zero v0", "v")],
    "relu": [node("Relu", "v0", "v")],
    "clip": [node("Clip", "v0 zero", "v")],
}
ROOT = [
    node("Add", "v eps", "ve"),
    node("Sqrt", "ve", "std"),
    node("Reciprocal", "std", "r"),
    node("Sub", "x m", "d"),
]
OF_FLAX = [node("Mul", "r gamma", "g"), node("Mul", "d g", "n"), node("Add", "n beta", "y")]
OTHERS = [node("Mul", "d r", "n"), node("Mul", "n gamma", "g"), node("Add", "g beta", "y")]


def norm(
    means: str = "mean",
    bound: str = "max",
    end: list[onnx.NodeProto] | None = None,
    **consts: object,
) -> onnx.ModelProto:
    nodes = [*SQUARE, *MEANS[means], *DIFFERENCE, *BOUNDS[bound], *ROOT, *(end or OF_FLAX)]
    return model(nodes, {"x": SHAPE}, consts={**CONSTS, **consts}, opset=18)  # type: ignore[dict-item]


@pytest.mark.parametrize("end", [OF_FLAX, OTHERS], ids=["scale in the root", "scale behind"])
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("means", MEANS)
def test_a_layer_norm_is_one_op(means: str, bound: str, end: list[onnx.NodeProto]) -> None:
    graph = same_outputs(norm(means, bound, end))
    assert ops(graph) == ["LayerNormalization"]


def test_means_without_the_axis_are_reshaped_as_jax_writes_them() -> None:
    nodes = [
        *SQUARE,
        node("ReduceSum", "x axes", "s", keepdims=0),
        node("Mul", "s part", "m0"),
        node("ReduceSum", "q axes", "sq", keepdims=0),
        node("Mul", "sq part", "mq"),
        node("Mul", "m0 m0", "mm"),
        node("Sub", "mq mm", "v0"),
        node("Max", "zero v0", "v1"),
        node("Reshape", "v1 kept", "v"),
        node("Reshape", "m0 kept", "m"),
        *ROOT,
        *OF_FLAX,
    ]
    graph = same_outputs(model(nodes, {"x": SHAPE}, consts=CONSTS, opset=18))
    assert ops(graph) == ["LayerNormalization"]


def test_over_a_leading_axis_the_variance_alone_is_rewritten() -> None:
    weights = {name: np.linspace(0.5, 2, 5).reshape(5, 1) for name in ("gamma", "beta")}
    graph = same_outputs(norm(axes=np.array([1], np.int64), **weights))
    assert "Max" not in ops(graph) and "LayerNormalization" not in ops(graph)
    assert ops(graph).count("ReduceMean") == 2


def test_what_else_reads_the_mean_and_the_variance_keeps_its_value() -> None:
    nodes = [*SQUARE, *MEANS["sum * 1/n"], *DIFFERENCE, *BOUNDS["max"]]
    proto = model(nodes, {"x": SHAPE}, ["m", "v0", "v", "mq"], CONSTS, opset=18)
    assert "Max" in ops(same_outputs(proto))


def _less(name: str) -> list[onnx.NodeProto]:
    found = [onnx.NodeProto.FromString(item.SerializeToString()) for item in MEANS["sum * 1/n"]]
    for item in found:
        if item.output[0] == name:
            item.input[:] = ["less" if value == "part" else value for value in item.input]
    return found


@pytest.mark.parametrize(
    "nodes",
    [
        [*SQUARE, *_less("mq"), *DIFFERENCE],
        [*SQUARE, *_less("m"), *DIFFERENCE],
        [node("Mul", "x beta", "q"), *MEANS["mean"], *DIFFERENCE],
        [
            *SQUARE,
            node("ReduceMean", "x axes", "m"),
            node("ReduceMean", "q other", "mq"),
            *DIFFERENCE,
        ],
        [*SQUARE, *MEANS["mean"], node("Mul", "m m", "mm"), node("Sub", "mm mq", "v0")],
    ],
    ids=["n - 1", "mean by n - 1", "no square", "other axes", "the other way round"],
)
def test_other_differences_stay(nodes: list[onnx.NodeProto]) -> None:
    consts = {**CONSTS, "other": np.array([-2], np.int64)}
    proto = model(nodes, {"x": (2, 8, 8)}, ["v0"], consts, opset=18)
    assert ops(same_outputs(proto)) == [item.op_type for item in nodes]


def test_it_stays_as_exported_on_request() -> None:
    proto = norm()
    kept = ops(same_outputs(proto, recognize=False))
    assert kept == [item.op_type for item in proto.graph.node]


@pytest.mark.parametrize("axis", [1, 2])
def test_data_far_from_zero_keep_their_levels(axis: int) -> None:
    weights = {"gamma": np.float32(1.5), "beta": np.float32(0.5)}
    proto = norm(axes=np.array([axis], np.int64), part=1 / SHAPE[axis], **weights)
    rng = np.random.default_rng(3)
    samples = [{"x": np.float32(rng.normal(6.0, 1.0, SHAPE))} for _ in range(5)]
    assert decibels(proto, samples) > 28.0
