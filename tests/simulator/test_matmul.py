"""Matrix products, batch norm and bias against a plain definition, and what they reject."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.simulator.kernels import batchnorm, matmul, superfc
from hexconv.simulator.registry import KERNELS, KernelCall

SEEDS = st.integers(0, 2**32 - 1)


def scalar(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)


def ranges(zero: int) -> list[Array]:
    """A scale of one hundredth and a zero point."""
    return [scalar(-0.01 * zero), scalar(0.01 * (255 - zero))]


def codes(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(0, 256, shape).astype(np.uint8)


@given(SEEDS, st.integers(1, 9), st.integers(17, 70), st.integers(1, 40), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_a_product_with_a_const_is_exact(seed: int, m: int, k: int, n: int, zero: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = codes(rng, 1, 1, m, k), codes(rng, 1, 1, k, n)
    made = KernelCall("QuantizedMatMul_8x8to32", [a, b, *ranges(zero), *ranges(255 - zero)])
    data, low, high = matmul.matmul(made)
    exact = (a[0, 0].astype(int) - zero) @ (b[0, 0].astype(int) - (255 - zero))
    np.testing.assert_array_equal(data[0, 0], exact)
    assert high.flat[0] == -low.flat[0] == pytest.approx(1e-4 * 2.0**31, rel=1e-6)


@given(SEEDS, st.integers(1, 3), st.integers(1, 4), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_a_batched_product_is_exact(seed: int, b: int, h: int, za: int, zb: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = codes(rng, b, h, 5, 33), codes(rng, b, h, 33, 7)
    made = KernelCall("QuantizedBatchMatMul_8x8to32", [x, y, *ranges(za), *ranges(zb)])
    data = matmul.batch_matmul(made)[0]
    np.testing.assert_array_equal(data, (x.astype(int) - za) @ (y.astype(int) - zb))


def test_batches_that_differ_are_rejected() -> None:
    x, y = np.zeros((1, 2, 3, 4), np.uint8), np.zeros((1, 1, 4, 3), np.uint8)
    with pytest.raises(GraphError, match="differ"):
        matmul.batch_matmul(
            KernelCall("QuantizedBatchMatMul_8x8to32", [x, y, *ranges(0), *ranges(0)])
        )


def test_a_computed_second_operand_is_rejected() -> None:
    x, y = np.zeros((1, 1, 3, 32), np.uint8), np.zeros((1, 1, 32, 3), np.uint8)
    made = KernelCall("QuantizedMatMul_8x8to32", [x, y, *ranges(0), *ranges(0)])
    made.consts = (False, False, True, True, True, True)
    with pytest.raises(GraphError, match="const"):
        matmul.matmul(made)


@pytest.mark.parametrize(
    ("rows", "depth", "width", "wrong"),
    [
        (1, 7, 40, True),
        (6, 16, 33, True),
        (3, 7, 40, False),
        (6, 16, 32, False),
        (1, 17, 40, False),
    ],
)
def test_narrow_matrices_that_the_library_misplaces_are_rejected(
    rows: int, depth: int, width: int, wrong: bool
) -> None:
    x, y = np.zeros((1, 1, rows, depth), np.uint8), np.zeros((1, 1, depth, width), np.uint8)
    made = KernelCall("QuantizedMatMul_8x8to32", [x, y, *ranges(0), *ranges(0)])
    if wrong:
        with pytest.raises(GraphError, match="wrong columns"):
            matmul.matmul(made)
    else:
        assert matmul.matmul(made)[0].shape == (1, 1, rows, width)


def fc(x: Array, weights: Array, bias: Array, out: tuple[float, float]) -> KernelCall:
    edge = 1e-4 * 2.0**31
    ends = [scalar(-edge), scalar(edge), scalar(out[0]), scalar(out[1])]
    return KernelCall("SuperFC_8x8p32to8", [x, weights, *ranges(100), *ranges(120), bias, *ends])


@given(SEEDS, st.integers(1, 5), st.sampled_from([32, 48, 160]), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_superfc_is_within_half_an_lsb(seed: int, rows: int, depth: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    x, weights = codes(rng, rows, 1, 1, depth), codes(rng, 1, 1, depth, width)
    bias = rng.integers(-9000, 9000, (1, 1, 1, width)).astype(np.int32)
    data = superfc.superfc(fc(x, weights, bias, (-12.8, 12.7)))[0]
    sums = (x[:, 0, 0].astype(int) - 100) @ (weights[0, 0].astype(int) - 120) + bias[0, 0, 0]
    ideal = np.clip(sums * 1e-4 / 0.1 + 128, 0, 255)
    assert data.shape == (1, 1, rows, width)
    assert np.abs(data[0, 0] - ideal).max() <= 0.51


@pytest.mark.parametrize("depth", [16, 40, 100])
def test_superfc_depths_that_fail_at_run_time_are_rejected(depth: int) -> None:
    weights = np.zeros((1, 1, depth, 8), np.uint8)
    made = fc(
        np.zeros((1, 1, 1, depth), np.uint8), weights, np.zeros((1, 1, 1, 8), np.int32), (-1, 1)
    )
    with pytest.raises(GraphError, match="depth"):
        superfc.superfc(made)


def wide(library: str, width: int, out: float) -> KernelCall:
    x, weights = np.full((1, 1, 2, 32), 90, np.uint8), np.full((1, 1, 32, width), 130, np.uint8)
    bias, edge = np.full((1, 1, 1, width), 500, np.int32), 1e-4 * 2.0**31
    ends = [scalar(-edge), scalar(edge), scalar(-out), scalar(out)]
    inputs = [x, weights, *ranges(100), *ranges(120), bias, *ends]
    return KernelCall("QuantizedMatMul_8x8p32to16", inputs, library=library)


def test_the_int16_product_scales_to_its_range() -> None:
    data, low, high = matmul.matmul16(wide("v66", 64, 10.0))
    # 32 products of -10 * 10 hundredths squared, and a bias of 500 times 1e-4
    assert data.dtype == np.int16
    assert np.abs(data * (20 / 65536) - (32 * -0.1 * 0.1 + 0.05)).max() < 20 / 65536
    assert (low.flat[0], high.flat[0]) == (-10, 10)


def test_the_int16_product_rejects_what_the_shipped_libraries_compute_wrongly() -> None:
    assert matmul.matmul16(wide("v60", 32, 10.0))[0].shape == (1, 1, 2, 32)
    with pytest.raises(GraphError, match="32 columns"):
        matmul.matmul16(wide("v66", 32, 10.0))
    with pytest.raises(GraphError, match="too narrow"):
        matmul.matmul16(wide("v66", 64, 0.001))


@given(SEEDS, st.integers(1, 40), st.booleans())
@settings(max_examples=25, deadline=None)
def test_batch_norm_is_within_one_lsb(seed: int, depth: int, found: bool) -> None:
    rng = np.random.default_rng(seed)
    x, scale = codes(rng, 1, 3, 4, depth), codes(rng, 1, 1, 1, depth)
    bias = rng.integers(-9000, 9000, (1, 1, 1, depth)).astype(np.int32)
    edge = 1e-4 * 2.0**31
    out = [scalar(-np.inf), scalar(np.inf)] if found else [scalar(-5.12), scalar(5.08)]
    made = KernelCall(
        "QuantizedBatchNorm_8x8p32to8_d32",
        [x, scale, *ranges(100), *ranges(120), bias, scalar(-edge), scalar(edge), *out],
    )
    data, low, high = batchnorm.batchnorm(made)
    step = (float(high.flat[0]) - float(low.flat[0])) / 255
    exact = ((x.astype(int) - 100) * (scale.astype(int) - 120) + bias) * 1e-4
    ideal = np.clip((exact - float(low.flat[0])) / step, 0, 255)
    # scale, bias and gain are rounded to 16 bits each
    assert np.abs(data - ideal).max() <= 0.75


def test_a_bias_is_added_in_the_scale_of_the_sum() -> None:
    x = np.array([[[[1000, -1000]]]], np.int32)
    bias = np.array([[[[10, 3]]]], np.int32)
    edge = 2.0**31
    ends = [scalar(-edge), scalar(edge), scalar(-edge * 2.5), scalar(edge * 2.5)]
    data, low, high = matmul.bias_add(KernelCall("QuantizedBiasAdd_32p32to32", [x, bias, *ends]))
    # 2.5 * 3 is halfway: to the even neighbor
    assert data.flatten().tolist() == [1025, -992]
    assert (low.flat[0], high.flat[0]) == (-edge, edge)


def test_every_kernel_of_the_family_is_registered() -> None:
    for name in (
        "Supernode_8x8p32to8_d32",
        "QuantizedMatMul_8x8to32",
        "QuantizedBatchMatMul_8x8to32",
        "QuantizedMatMul_8x8p32to16",
        "QuantizedMatMulDims_8x8p32to16",
        "QuantizedBiasAdd_32p32to32",
        "QuantizedConv2d_8x8to32",
        "SuperFC_8x8p32to8",
        "QuantizedBatchNorm_8x8p32to8_d32",
        "QuantizedBatchNorm_8x8p8to8_d32",
    ):
        assert name in KERNELS
