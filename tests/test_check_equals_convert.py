"""`check` says that a model runs if, and only if, `convert` converts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hexconv
from hexconv.errors import HexconvError, HexconvWarning, NotFiniteError
from tests.checked import passes
from tests.fuzz.graphs import random_case
from tests.lowering.proof import model, numbers
from tests.networks import exports

Samples = Sequence[Mapping[str, Any]]
STORED = [name for name, network in exports.ZOO.items() if network.stored]


def reason(proto: onnx.ModelProto, samples: Samples) -> str:
    """Why `convert` does not convert; nothing if it does."""
    try:
        hexconv.convert(proto, samples=samples)
    except HexconvError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", STORED)
def test_a_network_that_converts_passes(name: str) -> None:
    """tests/networks converts each of them."""
    assert passes(exports.load(name))


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_a_random_graph_that_passes_converts(first: int) -> None:
    for seed in range(first, first + 20):
        case = random_case(seed)
        why = reason(case.model(), case.samples)
        assert passes(case.model()) == (not why), f"seed {seed}: {why}"


def quantizer(scale: float) -> onnx.ModelProto:
    """The input quantized by a scale."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantizer"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return model(nodes, {"x": (1, 8)}, ["y"], {"s": np.float32(scale), "z": np.uint8(3)})


@pytest.mark.parametrize("scale", [np.nan, np.inf, 3e38, 1e30, -1.0])
def test_a_scale_of_no_codes_is_rejected_with_its_node(scale: float) -> None:
    proto = quantizer(scale)
    assert not passes(proto)
    assert "'quantizer'" in reason(proto, [{"x": numbers((1, 8), 1)}])


def test_a_scale_of_zero_converts_without_samples_too() -> None:
    proto = quantizer(0.0)
    assert passes(proto) and not reason(proto, [{"x": numbers((1, 8), 1)}])
    assert hexconv.convert(proto).graph.nodes


@pytest.mark.parametrize("factor", ["alpha", "gamma"])
def test_a_factor_past_the_largest_number_is_rejected(factor: str) -> None:
    node = helper.make_node("Selu", ["x"], ["y"], **{factor: 3.4e38})
    proto = model([node], {"x": (1, 8)}, ["y"], {})
    assert not passes(proto)
    assert f"the attribute {factor}" in reason(proto, [{"x": numbers((1, 8), 1)}])


def test_random_data_for_which_a_function_is_not_defined_are_told_as_such() -> None:
    proto = model([helper.make_node("Log", ["x"], ["y"])], {"x": (1, 8)}, ["y"], {})
    assert passes(proto)
    with pytest.raises(NotFiniteError, match="random data: there are no samples"):
        hexconv.convert(proto)
    with pytest.warns(HexconvWarning):
        hexconv.convert(proto, input_ranges={"x": (0.5, 2.0)})


def test_an_input_that_is_no_tensor_is_rejected() -> None:
    """ONNX's Identity takes optionals and sequences, and leaves nothing behind."""
    items = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [5]))
    kinds = [items, helper.make_optional_type_proto(items)]
    for kind in kinds:
        ends = [helper.make_value_info(name, kind) for name in ("x", "y")]
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:]
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
        assert not passes(proto)
        assert "not a tensor" in reason(proto, [])


@pytest.mark.parametrize("op", ["ReduceL2", "ReduceMax", "ReduceSumSquare"])
def test_axes_of_no_rank_are_rejected(op: str) -> None:
    node = helper.make_node(op, ["x", "axes"], ["y"])
    proto = model([node], {"x": (3, 2)}, ["y"], {"axes": np.array(1, np.int64)}, opset=18)
    assert not passes(proto)
    assert "axes of rank 0" in reason(proto, [{"x": numbers((3, 2), 1)}])
