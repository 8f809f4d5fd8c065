"""MatMul is lowered to the op that computes it correctly, for any ranks and broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.lowering.proof import Array, emitted, matches, model, of_two, unsupported_op

FEW = settings(max_examples=15, deadline=None, derandomize=True)
# Half an LSB of rounding, and what the 31-bit factors of Requantize add.
ROUNDED = 0.51


def weights(*shape: int, seed: int = 3) -> Array:
    """Values that uint8 weights represent exactly: integers over 64, the largest 127/64."""
    values = np.random.default_rng(seed).integers(-127, 128, shape)
    values.reshape(-1)[0] = 127
    return (values / 64.0).astype(np.float32)


def product(left: Sequence[int], right: Array) -> onnx.ModelProto:
    """x times a constant."""
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": left}, ["y"], {"w": right})


def both(left: Sequence[int], right: Sequence[int]) -> onnx.ModelProto:
    """Two computed operands."""
    return of_two("MatMul", left, right)


@pytest.mark.parametrize("left", [(16,), (3, 16), (2, 3, 16), (2, 2, 3, 16)])
def test_a_constant_matrix_goes_to_matmul(left: tuple[int, ...]) -> None:
    counts = emitted(matches(product(left, weights(16, 8)), ROUNDED))
    assert counts["QuantizedMatMul_8x8to32"] == counts["Requantize_32to8"] == 1
    assert "QuantizedBatchMatMul_8x8to32" not in counts


def test_a_few_inputs_to_many_columns_avoid_the_fast_path_that_errs() -> None:
    counts = emitted(matches(product((1, 5, 16), weights(16, 40)), ROUNDED))
    assert "QuantizedBatchMatMul_8x8to32" in counts and "QuantizedMatMul_8x8to32" not in counts


@pytest.mark.parametrize("depth", [1, 3, 17])
def test_any_depth_is_right(depth: int) -> None:
    matches(product((1, 5, depth), weights(depth, 7)), ROUNDED)


def test_stacked_constant_matrices_go_to_batch_matmul() -> None:
    counts = emitted(matches(product((2, 5, 16), weights(2, 16, 8)), ROUNDED))
    assert counts["QuantizedBatchMatMul_8x8to32"] == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 8), (8, 6)),
        ((8,), (8, 6)),
        ((5, 8), (8,)),
        ((8,), (8,)),
        ((3, 5, 8), (3, 8, 6)),
        ((2, 3, 5, 8), (2, 3, 8, 6)),
        ((2, 3, 5, 8), (8, 6)),
        ((2, 3, 5, 8), (2, 1, 8, 6)),
        ((1, 3, 5, 8), (2, 1, 8, 6)),
        ((2, 2, 2, 5, 8), (2, 2, 2, 8, 3)),
        ((8,), (2, 3, 8, 4)),
    ],
)
def test_computed_operands_broadcast_as_numpy_does(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    matches(both(left, right), ROUNDED)


@FEW
@given(st.data())
def test_products_of_any_batch(data: st.DataObject) -> None:
    m, k, n = (data.draw(st.integers(1, 9)) for _ in range(3))
    batch = data.draw(st.lists(st.integers(1, 3), max_size=2))
    kept = data.draw(st.integers(0, len(batch)))
    matches(both((*batch, m, k), (*batch[kept:], k, n)), ROUNDED)


def test_a_constant_on_the_left_is_a_matrix_as_well() -> None:
    nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
    matches(model(nodes, {"x": (2, 8, 5)}, ["y"], {"w": weights(6, 8)}), ROUNDED)


def test_batches_that_broadcast_crosswise_over_three_runs_are_rejected() -> None:
    message = unsupported_op(both((2, 1, 3, 5, 8), (1, 2, 1, 8, 6)))
    assert "broadcasts over more than two runs" in message and "reshape" in message


def test_attention_heads_move_in_one_transpose_each() -> None:
    """Split, transpose, product: K in ONNX's own transposed order needs one Transpose_8."""
    shape = np.array([1, 12, 4, 8], np.int64)
    nodes = [
        helper.make_node("Reshape", ["q", "shape"], ["q4"]),
        helper.make_node("Transpose", ["q4"], ["qh"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["k", "shape"], ["k4"]),
        helper.make_node("Transpose", ["k4"], ["kh"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["qh", "kh"], ["y"]),
    ]
    proto = model(nodes, {"q": (1, 12, 32), "k": (1, 12, 32)}, ["y"], {"shape": shape})
    assert emitted(matches(proto, ROUNDED))["Transpose_8"] == 2


@pytest.mark.parametrize("attrs", [{}, {"transA": 1}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}])
def test_gemm_with_its_transposes_and_factors(attrs: dict[str, float]) -> None:
    a = (16, 4) if attrs.get("transA") else (4, 16)
    b = weights(8, 16) if attrs.get("transB") else weights(16, 8)
    bias = np.arange(8, dtype=np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w", "c"], ["y"], **attrs)]
    # The bias is added in a separate node: two roundings.
    matches(model(nodes, {"x": a}, ["y"], {"w": b, "c": bias}), 2.0)
