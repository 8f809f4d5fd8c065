"""What the kernels on float tensors compute, against NumPy."""

import numpy as np
import pytest

from hexconv.errors import GraphError
from tests.simulator.kernel_calls import SAME, VALID, ints, rows, run, scalar, shape_only


def floats(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("axes", [(1, 2), (3,), (0, 1, 2, 3)])
def test_float_reductions_keep_their_axes(axes):
    x = floats(2, 3, 4, 5)
    (total,) = run("Sum_f", x, ints(*axes))
    np.testing.assert_allclose(total, x.sum(axis=axes, keepdims=True), rtol=1e-4, atol=1e-5)
    mean, variance = run("Moments_f", x, ints(*axes))
    np.testing.assert_allclose(mean, x.mean(axis=axes, keepdims=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, x.var(axis=axes, keepdims=True), rtol=1e-4, atol=1e-5)


def test_a_valid_sum_moves_the_kept_axes_to_the_end():
    x = floats(2, 5, 7, 3)
    (total,) = run("Sum_f", x, ints(1, 2), padding=VALID)
    np.testing.assert_allclose(total[0, 0], x.sum(axis=(1, 2)), rtol=1e-4, atol=1e-5)


def test_float_elementwise_ops_broadcast():
    a, b = floats(2, 3, 4, 5), floats(1, 1, 1, 5)
    for op, function in (
        ("Add_f", np.add),
        ("Sub_f", np.subtract),
        ("Mul_f", np.multiply),
        ("Maximum_f", np.maximum),
        ("Minimum_f", np.minimum),
    ):
        np.testing.assert_array_equal(run(op, a, b)[0], function(a, b))
        np.testing.assert_array_equal(run(op, b, a)[0], function(b, a))
    with pytest.raises(GraphError, match="broadcast"):
        run("Add_f", a, floats(1, 1, 1, 4))
    np.testing.assert_array_equal(run("AddN_f", a, a, a)[0], a + a + a)
    np.testing.assert_array_equal(run("BiasAdd_f", a, b)[0], a + b)


def test_float_activations():
    x = floats(1, 2, 3, 8)
    alpha = floats(1, 1, 1, 8)
    for op, inputs, exact in (
        ("Neg_f", (), -x),
        ("Abs_f", (), np.abs(x)),
        ("Floor_f", (), np.floor(x)),
        ("Tanh_f", (), np.tanh(x)),
        ("Sigmoid_f", (), 1 / (1 + np.exp(-x))),
        ("Relu_f", (), np.maximum(x, 0)),
        ("ReluX_f", (scalar(0.5),), np.clip(x, 0, 0.5)),
        ("Clamp_f", (scalar(-0.5), scalar(0.5)), np.clip(x, -0.5, 0.5)),
        ("PRelu_f", (alpha,), np.where(x < 0, x * alpha, x)),
    ):
        np.testing.assert_allclose(run(op, x, *inputs)[0], exact, rtol=1e-6, atol=1e-7)
    exponentials = np.exp(2 * x.astype(float))
    exact = exponentials / exponentials.sum(axis=3, keepdims=True)
    np.testing.assert_allclose(run("Softmax_f", x, scalar(2))[0], exact, rtol=1e-5)
    exact = x - np.log(np.exp(x.astype(float)).sum(axis=3, keepdims=True))
    np.testing.assert_allclose(run("LogSoftmax_f", x)[0], exact, rtol=1e-5, atol=1e-6)
    with pytest.raises(GraphError, match="positive"):
        run("ReluX_f", x, scalar(0))


def test_float_windows_and_products():
    x, filters = floats(1, 6, 7, 3), floats(3, 3, 3, 4)
    got = run("Conv2d_f", x, filters, shape_only(2, 1), padding=SAME)[0]
    padded = np.pad(x, ((0, 0), (0, 1), (1, 1), (0, 0)))
    exact = np.zeros((1, 3, 7, 4))
    for y in range(3):
        for column in range(7):
            patch = padded[0, 2 * y : 2 * y + 3, column : column + 3]
            exact[0, y, column] = np.tensordot(patch, filters, 3)
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5)
    mean = run("AvgPool_f", x, shape_only(2, 2), shape_only(1, 1), padding=VALID)[0]
    np.testing.assert_allclose(mean[0, 0, 0], x[0, :2, :2].mean(axis=(0, 1)), rtol=1e-5)
    top = run("MaxPool_f", x, shape_only(2, 2), shape_only(1, 1), padding=SAME)[0]
    np.testing.assert_array_equal(top[0, -1, -1], x[0, -1, -1])
    a, b = floats(1, 2, 3, 4), floats(1, 1, 4, 5)
    np.testing.assert_allclose(run("MatMul_f", a, b)[0], a @ b[0, 0], rtol=1e-5, atol=1e-6)
    assert run("MatMul_f", floats(1, 2, 3, 8), b)[0].shape == (1, 2, 6, 5)
    with pytest.raises(GraphError, match="2-d"):
        run("MatMul_f", a, floats(1, 2, 4, 5))


def test_float_moves():
    x = floats(1, 2, 3, 4)
    np.testing.assert_array_equal(run("Concat_f", ints(2), x, x)[0], np.concatenate([x, x], axis=2))
    np.testing.assert_array_equal(
        run("Pad_f", x, rows(1, 0, 0, 2))[0], np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2)))
    )
    runs = floats(1, 20, 13, 2)
    exact = (runs - runs.mean(axis=(1, 2))) / np.sqrt(runs.var(axis=(1, 2)) + 1e-5)
    np.testing.assert_allclose(run("InstanceNorm_f", runs)[0], exact, rtol=1e-4, atol=1e-5)
