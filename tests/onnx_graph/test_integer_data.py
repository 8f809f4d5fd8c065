"""Integers and booleans that are data: masks, counts and lengths, computed as floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.compare.levels import at_levels
from hexconv.errors import ModelError
from hexconv.onnx_graph import load
from tests.lowering.proof import numbers
from tests.onnx_graph.models import node

FRAMES = 12
CONSTS: dict[str, Any] = {
    "one": np.float32(1),
    "far": np.float32(-1e9),
    "one_whole": np.int64(1),
    "zero_whole": np.int64(0),
    "axis": np.array([1], np.int64),
    "axis_2": np.array([2], np.int64),
    "axes": np.array([1, 2], np.int64),
    "square": np.array([1, FRAMES, FRAMES], np.int64),
    "causal": np.tril(np.ones((1, FRAMES, FRAMES), bool)),
    "positions": np.arange(FRAMES)[None, None],
    "ids": numbers((3, 4)),
}
WIDE = [node("Unsqueeze", "mask axis", "row")]
ADDED = [node("Mul", "no far", "added"), node("Add", "scores added", "masked")]
FORMS: dict[str, tuple[str, list[Any]]] = {
    "1 - float, times a number": (
        "int64",
        [*WIDE, node("Cast", "row", "yes", to=1), node("Sub", "one yes", "no"), *ADDED],
    ),
    "1 - integer, cast, times a number": (
        "int64",
        [*WIDE, node("Sub", "one_whole row", "i"), node("Cast", "i", "no", to=1), *ADDED],
    ),
    "masked_fill of 1 - mask": (
        "int64",
        [
            *WIDE,
            node("Expand", "row square", "wide"),
            node("Cast", "wide", "yes", to=1),
            node("Sub", "one yes", "no"),
            node("Cast", "no", "padding", to=TensorProto.BOOL),
            node("Where", "padding far no", "added"),
            node("Add", "scores added", "masked"),
        ],
    ),
    "equal to 0": (
        "int32",
        [
            *WIDE,
            node("Cast", "row", "i", to=TensorProto.INT64),
            node("Equal", "i zero_whole", "padding"),
            node("Where", "padding far scores", "masked"),
        ],
    ),
    "rows times columns": (
        "int64",
        [
            *WIDE,
            node("Unsqueeze", "mask axis_2", "column"),
            node("Mul", "row column", "both"),
            node("Cast", "both", "seen", to=TensorProto.BOOL),
            node("Where", "seen scores far", "masked"),
        ],
    ),
    "and causal": (
        "bool",
        [
            *WIDE,
            node("And", "row causal", "seen"),
            node("Where", "seen scores far", "masked"),
        ],
    ),
    "not, to integers and back": (
        "bool",
        [
            *WIDE,
            node("Cast", "row", "i", to=TensorProto.INT64),
            node("Sub", "one_whole i", "j"),
            node("Cast", "j", "no", to=1),
            *ADDED,
        ],
    ),
    "bytes as booleans": (
        "uint8",
        [
            *WIDE,
            node("Cast", "row", "seen", to=TensorProto.BOOL),
            node("Where", "seen scores far", "masked"),
        ],
    ),
}


def attention(kind: str, masking: list[Any], sizes: tuple[int, ...] = (1, FRAMES)) -> Any:
    """Attention with a mask of a type, from `mask` and `scores` to `masked`."""
    nodes = [
        node("Transpose", "x", "turned", perm=[0, 2, 1]),
        node("MatMul", "x turned", "scores"),
        *masking,
        node("Softmax", "masked", "shares", axis=-1),
        node("MatMul", "shares x", "y"),
    ]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        nodes,
        "attention",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, FRAMES, 8]),
            helper.make_tensor_value_info("mask", dtype, sizes),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, FRAMES, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTS.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def feeds(kind: str) -> list[dict[str, Any]]:
    """Samples of 6, 8, 10 and 12 frames, with masks of a type."""
    seen = [(np.arange(FRAMES)[None] < length).astype(kind) for length in (6, 8, 10, 12)]
    return [{"x": numbers((1, FRAMES, 8), seed=i), "mask": mask} for i, mask in enumerate(seen)]


def sqnr(wanted: Any, found: Any) -> float:
    """dB of `wanted` over its difference from `found`."""
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


def expected(proto: Any, feed: dict[str, Any]) -> Any:
    """What ONNX Runtime returns."""
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feed)[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_of_integers_or_booleans_is_an_input(form: str) -> None:
    kind, masking = FORMS[form]
    proto, samples = attention(kind, masking), feeds(kind)
    converted = hexconv.convert(proto, samples=samples)
    for feed in samples:
        fed = {**feed, "mask": feed["mask"].astype(np.float32)}
        assert sqnr(expected(proto, feed), hexconv.simulate(converted, fed)["y"]) > 30


@pytest.mark.parametrize("form", ["equal to 0", "and causal"])
def test_the_simulator_takes_masks_as_onnx_runtime_does(form: str) -> None:
    kind, masking = FORMS[form]
    proto, samples = attention(kind, masking), feeds(kind)
    converted = hexconv.convert(proto, samples=samples)
    as_floats = {**samples[0], "mask": samples[0]["mask"].astype(np.float32)}
    found = [hexconv.simulate(converted, feed)["y"] for feed in (samples[0], as_floats)]
    np.testing.assert_array_equal(*found)


def test_a_mask_of_integers_is_verified_with_the_samples_of_the_float_model() -> None:
    kind, masking = FORMS["masked_fill of 1 - mask"]
    proto, samples = attention(kind, masking), feeds(kind)
    converted = hexconv.convert(proto, samples=samples)
    assert hexconv.verify(converted, proto, samples).outputs[0].calibration.sqnr > 30


def test_masks_have_no_level() -> None:
    kind, masking = FORMS["and causal"]
    proto, samples = attention(kind, masking), feeds(kind)
    rows = at_levels(hexconv.convert(proto, samples=samples), proto, samples)
    assert {row.what.split()[0] for row in rows} == {"x"}


def test_lengths_are_compared_with_positions() -> None:
    masking = [
        node("Unsqueeze", "mask axes", "length"),
        node("Less", "positions length", "seen"),
        node("Where", "seen scores far", "masked"),
    ]
    proto = attention("int64", masking, (1,))
    samples = [{**feed, "mask": feed["mask"].sum(1)} for feed in feeds("int64")]
    converted = hexconv.convert(proto, samples=samples)
    for feed in samples:
        assert sqnr(expected(proto, feed), hexconv.simulate(converted, feed)["y"]) > 30


@pytest.mark.parametrize(
    "masking",
    [
        [node("Gather", "ids mask", "found"), node("ReduceSum", "found axis_2", "s", keepdims=0)],
        [node("Mod", "mask one_whole", "m"), node("Cast", "m", "s", to=1)],
    ],
    ids=["indices", "an op that integers round"],
)
def test_integers_that_are_no_data_are_errors(masking: list[Any]) -> None:
    masking = [*masking, node("Unsqueeze", "s axis", "row"), node("Add", "scores row", "masked")]
    with pytest.raises(ModelError, match="'mask' is int64"):
        load(attention("int64", masking))


def test_unsigned_numbers_that_may_wrap_around_are_no_data() -> None:
    masking = [
        node("Cast", "mask", "i", to=TensorProto.UINT8),
        node("Cast", "i", "f", to=1),
        node("Unsqueeze", "f axis", "row"),
        node("Add", "scores row", "masked"),
    ]
    with pytest.raises(ModelError, match="'mask' is int64"):
        load(attention("int64", masking))
