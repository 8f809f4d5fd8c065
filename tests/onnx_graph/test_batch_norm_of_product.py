"""Batch normalization after a matrix product goes into its weights, through layout ops."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.onnx_graph.models import model, node, ops, same_outputs

CONSTANTS = {
    "w": np.random.default_rng(1).standard_normal((3, 5)),
    "u": np.random.default_rng(2).standard_normal((5, 3)),
    "b": np.random.default_rng(3).standard_normal(5),
    "column": np.random.default_rng(4).standard_normal((5, 1)),
    **{name: np.random.default_rng(5).random(5) + 0.5 for name in "somv"},
    "flat": np.array([-1, 5], np.int64),
    "back": np.array([2, 4, 5], np.int64),
    "swapped": np.array([2, 5, 4], np.int64),
    "two": np.array(2.0),
    "rows": np.random.default_rng(6).standard_normal((4, 5)),
    "outer": np.random.default_rng(7).standard_normal((1, 1, 1, 5)),
}
NORM = "s o m v"


def of_nodes(*nodes: onnx.NodeProto, shape: tuple[int, ...] = (2, 4, 3)) -> onnx.ModelProto:
    read = {name for item in nodes for name in item.input}
    used = {name: array for name, array in CONSTANTS.items() if name in read}
    return model(list(nodes), {"x": shape}, consts=used)


PRODUCT = node("MatMul", "x w", "p")
BIASED = node("Add", "p b", "a")


def flattened_sum(added: str) -> list[onnx.NodeProto]:
    """The product with a constant added, flattened and normalized."""
    return [
        PRODUCT,
        node("Add", f"p {added}", "a"),
        node("Reshape", "a flat", "r"),
        node("BatchNormalization", f"r {NORM}", "y"),
    ]


SCALED = {"MatMul", "Add", "Reshape", "Transpose"}


@pytest.mark.parametrize(
    "nodes",
    [
        [PRODUCT, node("Reshape", "p flat", "r"), node("BatchNormalization", f"r {NORM}", "y")],
        [
            PRODUCT,
            BIASED,
            node("Flatten", "a", "r", axis=2),
            node("BatchNormalization", f"r {NORM}", "n"),
            node("Reshape", "n back", "y"),
        ],
        [
            PRODUCT,
            BIASED,
            node("Transpose", "a", "t", perm=[0, 2, 1]),
            node("BatchNormalization", f"t {NORM}", "n"),
            node("Transpose", "n", "y", perm=[0, 2, 1]),
        ],
        flattened_sum("two"),
    ],
    ids=["flat", "biased", "transposed", "a number added"],
)
def test_it_goes_into_the_weights(nodes: list[onnx.NodeProto]) -> None:
    assert set(ops(same_outputs(of_nodes(*nodes), tolerance=1e-5))) <= SCALED


@pytest.mark.parametrize("bias", ["", "column", "two"])
def test_weights_at_the_left_have_their_channels_in_rows(bias: str) -> None:
    added = [node("Add", f"p {bias}", "a")] if bias else []
    product = node("MatMul", "u x", "p")
    normal = node("BatchNormalization", f"{'a' if bias else 'p'} {NORM}", "y")
    proto = of_nodes(product, *added, normal, shape=(2, 3, 4))
    assert set(ops(same_outputs(proto, tolerance=1e-5))) <= SCALED


def test_two_axes_are_enough() -> None:
    proto = of_nodes(PRODUCT, node("BatchNormalization", f"p {NORM}", "y"), shape=(4, 3))
    assert "BatchNormalization" not in ops(same_outputs(proto, tolerance=1e-5))


@pytest.mark.parametrize(
    "nodes",
    [
        [PRODUCT, node("Reshape", "p swapped", "r"), node("BatchNormalization", f"r {NORM}", "y")],
        [
            PRODUCT,
            node("Reshape", "p flat", "r"),
            node("BatchNormalization", f"r {NORM}", "n"),
            node("Reshape", "n back", "b2"),
            node("Sub", "b2 p", "y"),
        ],
        flattened_sum("rows"),
        flattened_sum("outer"),
    ],
    ids=["other channels", "read twice", "other rows", "more axes"],
)
def test_it_stays_where_it_cannot(nodes: list[onnx.NodeProto]) -> None:
    assert "BatchNormalization" in ops(same_outputs(of_nodes(*nodes), tolerance=1e-5))
