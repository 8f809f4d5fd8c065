"""Constants and samples near float32's limits: `check` says what `convert` does, and names them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import HexconvError, HexconvWarning
from tests.checked import passes
from tests.lowering.proof import Array, ints, model, numbers, same_on_the_library

LARGEST = float(np.finfo(np.float32).max)
NUMBERS = (1e30, 1e36, 1e38, LARGEST, -LARGEST, -np.inf, np.inf, 1e-38, 1e-45)
ROWS, IMAGE = (1, 4, 8), (1, 4, 6, 6)
ZEROS, ONES = np.zeros(4, np.float32), np.ones(4, np.float32)
Form = tuple[list[onnx.NodeProto], Sequence[int], dict[str, Any]]


def one(op: str, *inputs: str, shape: Sequence[int] = ROWS, **given: Any) -> Form:
    """One node; arrays among the keywords are constants, others attributes."""
    consts = {k: v for k, v in given.items() if isinstance(v, (np.ndarray, np.float32))}
    attrs = {k: v for k, v in given.items() if k not in consts}
    return [helper.make_node(op, inputs, ["y"], name="node", **attrs)], shape, consts


def then(form: Form, op: str, **attrs: Any) -> Form:
    """The form with another node behind its result."""
    nodes, shape, consts = form
    nodes[0].output[0] = "h"
    return [*nodes, helper.make_node(op, ["h"], ["y"], name="reader", **attrs)], shape, consts


def some(shape: Sequence[int], value: float) -> Array:
    """Normal random numbers, the first of which is given."""
    array = numbers(shape)
    array.reshape(-1)[0] = value
    return array


def elementwise(value: float) -> dict[str, Form]:
    """Ops that compute with a number, compare with it, or fill it in."""
    c, row, m = np.float32(value), some((8,), value), np.arange(8) % 2 == 0
    ops = ("Add", "Sub", "Mul", "Div", "Max", "Min")
    two = np.full((1, 4, 2), value, np.float32)
    return {
        **{op: one(op, "x", "c", c=c) for op in ops},
        **{f"{op} row": one(op, "x", "c", c=row) for op in (*ops, "PRelu")},
        "Sub from": one("Sub", "c", "x", c=c),
        "Clip": one("Clip", "x", "c", c=c),
        "Clip above": one("Clip", "x", "", "c", c=c),
        "Pad": one("Pad", "x", "p", "c", p=ints(0, 0, 1, 0, 0, 1), c=c),
        "Where": one("Where", "m", "x", "c", m=m, c=row),
        "Concat": one("Concat", "x", "c", c=two, axis=2),
        "LeakyRelu": one("LeakyRelu", "x", alpha=value),
        "Elu": one("Elu", "x", alpha=value),
        "Shrink": one("Shrink", "x", bias=value, lambd=0.5),
        "scores": then(one("Add", "x", "c", c=row), "Softmax", axis=-1),
        "scaled scores": then(one("Mul", "x", "c", c=c), "Softmax", axis=-1),
        "maximum": then(one("Where", "m", "x", "c", m=m, c=c), "ReduceMax", axes=[2]),
    }


def parameters(value: float) -> dict[str, Form]:
    """Weights, biases, and the parameters of norms."""
    four, eight = some((4,), value), some((8,), value)
    batch = {"s": ONES, "b": ZEROS, "m": ZEROS, "v": ONES}
    names = ("x", "s", "b", "m", "v")
    layer = {"s": np.ones(8, np.float32), "b": np.zeros(8, np.float32)}
    kernel = numbers((4, 4, 3, 3))
    return {
        "MatMul": one("MatMul", "x", "c", c=some((8, 8), value)),
        "Conv": one("Conv", "x", "c", shape=IMAGE, c=some((4, 4, 3, 3), value)),
        "depthwise": one("Conv", "x", "c", shape=IMAGE, c=some((4, 1, 3, 3), value), group=4),
        "bias": one("Conv", "x", "w", "c", shape=IMAGE, w=kernel, c=four),
        **{
            f"BatchNormalization {at}": one(
                "BatchNormalization", *names, shape=IMAGE, **{**batch, at: np.abs(four)}
            )
            for at in batch
        },
        **{
            f"LayerNormalization {at}": one(
                "LayerNormalization", "x", "s", "b", **{**layer, at: eight}
            )
            for at in layer
        },
    }


def of_samples() -> dict[str, Form]:
    """Ops that read the input itself."""
    unary = ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Erf", "Softplus", "Sqrt", "Log")
    last = ("Softmax", "LogSoftmax", "LpNormalization")
    reductions = ("ReduceMax", "ReduceMean", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
    layer = {"s": np.ones(8, np.float32), "b": np.zeros(8, np.float32)}
    return {
        **{op: one(op, "x") for op in (*unary, "Reciprocal", "HardSwish", "Elu", "Softsign")},
        **{op: one(op, "x", axis=-1) for op in last},
        **{op: one(op, "x", axes=[2], keepdims=1) for op in reductions},
        **{op: one(op, "x", shape=IMAGE) for op in ("GlobalAveragePool", "GlobalMaxPool")},
        "LayerNormalization": one("LayerNormalization", "x", "s", "b", **layer),
        "InstanceNormalization": one(
            "InstanceNormalization", "x", "s", "b", shape=IMAGE, s=ONES, b=ZEROS
        ),
        "LRN": one("LRN", "x", shape=IMAGE, size=3),
        "Add": one("Add", "x", "x"),
        "Mul": one("Mul", "x", "x"),
        "MatMul": one("MatMul", "x", "w", w=numbers((8, 8))),
        "Conv": one("Conv", "x", "w", shape=IMAGE, w=numbers((4, 4, 3, 3))),
    }


def drawn(shape: Sequence[int]) -> list[dict[str, Array]]:
    """Two samples as loud as the random data that `check` converts with."""
    draws = (np.random.default_rng(seed) for seed in range(2))
    return [{"x": draw.uniform(-1, 1, shape).astype(np.float32)} for draw in draws]


def proto_of(form: Form) -> onnx.ModelProto:
    """The model of a form."""
    nodes, shape, consts = form
    return model(nodes, {"x": shape}, ["y"], consts, opset=17)


def why_not(proto: onnx.ModelProto, samples: Sequence[dict[str, Array]]) -> str:
    """Why a model does not convert, or does not run once it has; nothing if it does."""
    try:
        hexconv.simulate(hexconv.convert(proto, samples=samples), samples[0])
    except HexconvError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _no_warning_of_numpy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", HexconvWarning)
        yield


@pytest.mark.parametrize("value", NUMBERS)
def test_check_and_convert_agree_on_a_constant_and_name_it(value: float) -> None:
    for name, form in {**elementwise(value), **parameters(value)}.items():
        proto = proto_of(form)
        why = why_not(proto, drawn(form[1]))
        assert passes(proto) == (not why), f"{name}: {why}"
        named = any(f"'{item}'" in why for item in ("c", "s", "b", "m", "v", "y", "node"))
        assert not why or named, f"{name}: {why}"


@pytest.mark.parametrize("value", NUMBERS)
def test_a_sample_near_the_limits_converts_or_is_an_error_that_names_it(value: float) -> None:
    for name, form in of_samples().items():
        samples = drawn(form[1])
        samples[0]["x"].reshape(-1)[1] = value
        why = why_not(proto_of(form), samples)
        assert not why or "'x'" in why or "the tensor 'y' holds numbers" in why, f"{name}: {why}"


def test_scores_further_apart_than_the_library_allows_choose_the_largest() -> None:
    scores = np.float32([[1e20, -1e20, 0, 5e19], [3e5, 9e19, -1e5, 0]]).reshape(1, 2, 4)
    proto = proto_of(one("Softmax", "x", shape=scores.shape, axis=-1))
    converted = hexconv.convert(proto, samples=[{"x": scores}])
    same_on_the_library(converted, {"x": scores})
    found = hexconv.simulate(converted, {"x": scores})
    np.testing.assert_allclose(found["y"], [[[1, 0, 0, 0], [0, 1, 0, 0]]], atol=0.01)
