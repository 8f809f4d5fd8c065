"""Files that ONNX Runtime's quantizers write convert as well as the float files that they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import hexconv
from hexconv.errors import HexconvError
from hexconv.onnx_graph import load
from tests.lowering.proof import Array, float_outputs, ints, matches, model, numbers

MICROSOFT = "com.microsoft"
NODE = helper.make_node


def conv_net() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Two convolutions, a residual, a pool, a Linear."""
    consts = {
        "w": numbers((8, 8, 3, 3), 1) / 8,
        "b": numbers((8,), 2) / 4,
        "d": numbers((8, 1, 3, 3), 3) / 3,
        "f": numbers((8, 10), 4) / 3,
    }
    nodes = [
        NODE("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1] * 4),
        NODE("Relu", ["c"], ["r"], name="relu"),
        NODE("Conv", ["r", "d"], ["e"], name="depthwise", pads=[1] * 4, group=8),
        NODE("Add", ["e", "x"], ["s"], name="residual"),
        NODE("GlobalAveragePool", ["s"], ["g"], name="pool"),
        NODE("Flatten", ["g"], ["h"], name="flat"),
        NODE("Gemm", ["h", "f"], ["y"], name="linear"),
    ]
    shape = (1, 8, 10, 10)
    return model(nodes, {"x": shape}, ["y"], consts, opset=17), shape


def attention_net() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Scores, softmax, values, and a Linear behind."""
    consts = {
        "q": numbers((16, 16), 1) / 4,
        "k": numbers((16, 16), 2) / 4,
        "v": numbers((16, 16), 3) / 4,
        "o": numbers((16, 8), 4) / 4,
    }
    nodes = [
        *(NODE("MatMul", ["x", n], [f"x{n}"], name=f"to_{n}") for n in "qkv"),
        NODE("Transpose", ["xk"], ["kt"], name="turn", perm=[0, 2, 1]),
        NODE("MatMul", ["xq", "kt"], ["s"], name="scores"),
        NODE("Softmax", ["s"], ["a"], name="softmax", axis=-1),
        NODE("MatMul", ["a", "xv"], ["m"], name="mixed"),
        NODE("Sigmoid", ["m"], ["g"], name="gate"),
        NODE("MatMul", ["g", "o"], ["y"], name="out"),
    ]
    return model(nodes, {"x": (1, 12, 16)}, ["y"], consts, opset=17), (1, 12, 16)


def classes_net() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """A softmax over flat scores as the output: its quantizer has a range of 0 to 1."""
    nodes = [
        NODE("MatMul", ["x", "w"], ["h"], name="hidden"),
        NODE("Sigmoid", ["h"], ["g"], name="sigmoid"),
        NODE("MatMul", ["g", "v"], ["s"], name="scores"),
        NODE("Softmax", ["s"], ["y"], name="softmax", axis=-1),
    ]
    consts = {"w": numbers((16, 32), 1) / 4, "v": numbers((32, 8), 2) / 12}
    return model(nodes, {"x": (4, 16)}, ["y"], consts, opset=17), (4, 16)


NETS = {"conv": conv_net, "attention": attention_net, "classes": classes_net}
U8, S8, U16 = QuantType.QUInt8, QuantType.QInt8, QuantType.QUInt16
STATIC: dict[str, dict[str, Any]] = {
    "QDQ, uint8": {"activation_type": U8, "weight_type": S8},
    "QDQ, int8 by channel": {"activation_type": S8, "weight_type": S8, "per_channel": True},
    "QDQ, uint16": {"activation_type": U16, "weight_type": S8},
    "QOperator": {"quant_format": QuantFormat.QOperator, "weight_type": S8},
}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: list[dict[str, Array]]) -> None:
        self._samples: Iterator[Mapping[str, Array]] = iter(samples)

    def get_next(self) -> Mapping[str, Array] | None:
        return next(self._samples, None)


def feeds(shape: tuple[int, ...], first: int, count: int) -> list[dict[str, Array]]:
    return [{"x": numbers(shape, seed)} for seed in range(first, first + count)]


def decibels(expected: list[Array], found: list[Array]) -> float:
    left, right = np.stack(expected).astype(np.float64), np.stack(found)
    return float(10 * np.log10(np.square(left).sum() / np.square(left - right).sum()))


def converted(source: Any, samples: list[dict[str, Array]], held: list[dict[str, Array]]) -> Any:
    found = hexconv.convert(source, samples=samples)
    return [hexconv.simulate(found, item, library="v60")["y"] for item in held]


def assert_as_good(net: str, made: Path) -> None:
    """Within 1 dB of the float file's conversion.

    The weights of the convolutions have one scale for all channels in the file, which costs as much
    as everything that the DSP rounds: there, the two noises may add up.
    """
    proto, shape = NETS[net]()
    samples, held = feeds(shape, 10, 16), feeds(shape, 100, 8)
    expected = [float_outputs(proto, item)[0] for item in held]
    least = decibels(expected, converted(proto, samples, held))
    if net == "conv":
        file = decibels(expected, [float_outputs(onnx.load(made), item)[0] for item in held])
        least = float(-10 * np.log10(10 ** (-least / 10) + 10 ** (-file / 10)))
    assert decibels(expected, converted(made, samples, held)) >= least - 1.0


def files(folder: Path, proto: onnx.ModelProto) -> tuple[Path, Path]:
    onnx.save(proto, folder / "float.onnx")
    return folder / "float.onnx", folder / "quantized.onnx"


@pytest.mark.parametrize("form", list(STATIC))
@pytest.mark.parametrize("net", list(NETS))
def test_static_quantization_costs_nothing(net: str, form: str, tmp_path: Path) -> None:
    proto, shape = NETS[net]()
    source, made = files(tmp_path, proto)
    settings: dict[str, Any] = {"quant_format": QuantFormat.QDQ, **STATIC[form]}
    quantize_static(source, made, Reader(feeds(shape, 10, 16)), **settings)
    assert hexconv.check(made).ok
    assert_as_good(net, made)


@pytest.mark.parametrize("kind", [S8, U8], ids=["int8", "uint8"])
@pytest.mark.parametrize("net", list(NETS))
def test_dynamic_quantization_costs_nothing(net: str, kind: Any, tmp_path: Path) -> None:
    source, made = files(tmp_path, NETS[net]()[0])
    quantize_dynamic(source, made, weight_type=kind)
    assert_as_good(net, made)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_dynamically_quantized_lstm_is_an_lstm(per_channel: bool, tmp_path: Path) -> None:
    consts = {
        "w": numbers((2, 32, 6), 1) / 4,
        "r": numbers((2, 32, 8), 2) / 4,
        "b": numbers((2, 64), 3) / 4,
    }
    lstm = NODE(
        "LSTM", ["x", "w", "r", "b"], ["y"], name="lstm", hidden_size=8, direction="bidirectional"
    )
    source, made = files(tmp_path, model([lstm], {"x": (5, 1, 6)}, ["y"], consts, opset=17))
    quantize_dynamic(source, made, weight_type=S8, per_channel=per_channel)
    assert [n.op_type for n in onnx.load(made).graph.node] == ["DynamicQuantizeLSTM"]
    graph = load(made)
    assert [node.op_type for node in graph.nodes] == ["LSTM"]
    found = graph.const(graph.nodes[0].inputs[1].name or "")
    assert (
        found is not None and np.abs(found - consts["w"]).max() <= np.abs(consts["w"]).max() / 127
    )
    matches(onnx.load(made), 6.0, feeds={"x": numbers((5, 1, 6))})


def by_blocks(bits: int, *, with_zeros: bool, size: int = 40) -> onnx.ModelProto:
    """MatMulNBits of 40 rows in blocks of 16, the last one in part."""
    rng, columns, blocks = np.random.default_rng(bits), 24, -(-size // 16)
    consts = {
        "b": rng.integers(0, 256, (columns, blocks, 16 * bits // 8)).astype(np.uint8),
        "s": rng.uniform(0.01, 0.02, (columns, blocks)).astype(np.float32),
    }
    names = ["x", "b", "s"]
    if with_zeros:
        shape = (columns, -(-blocks * bits // 8))
        consts["z"] = rng.integers(0, 256, shape).astype(np.uint8)
        names.append("z")
    attrs = {"K": size, "N": columns, "bits": bits, "block_size": 16}
    node = NODE("MatMulNBits", names, ["y"], name="node", domain=MICROSOFT, **attrs)
    return own(model([node], {"x": (1, 6, size)}, ["y"], consts))


def own(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return proto


@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_weights_by_blocks_are_dequantized(bits: int, with_zeros: bool) -> None:
    proto = by_blocks(bits, with_zeros=with_zeros)
    x = {"x": numbers((1, 6, 40))}
    graph = load(proto)
    assert [node.op_type for node in graph.nodes] == ["MatMul"]
    weights = graph.const(graph.nodes[0].inputs[1].name or "")
    np.testing.assert_allclose(float_outputs(proto, x)[0], x["x"] @ weights, atol=2e-3)


@pytest.mark.parametrize("by_column", [False, True])
def test_products_that_quantize_their_data_are_products(by_column: bool) -> None:
    scale = np.linspace(0.01, 0.02, 5, dtype=np.float32) if by_column else np.float32([0.02])
    consts = {
        "w": np.random.default_rng(1).integers(-127, 128, (8, 5)).astype(np.int8),
        "s": scale,
        "b": numbers((5,)),
    }
    whole = NODE("DynamicQuantizeMatMul", ["x", "w", "s", "", "b"], ["y"], "node", domain=MICROSOFT)
    parts = [
        NODE("DynamicQuantizeLinear", ["x"], ["q", "t", "z"], name="quantizer"),
        NODE(
            "MatMulIntegerToFloat",
            ["q", "w", "t", "s", "z", "", "b"],
            ["y"],
            name="node",
            domain=MICROSOFT,
        ),
    ]
    for nodes in ([whole], parts):
        graph = load(own(model(nodes, {"x": (3, 8)}, ["y"], consts)))
        assert [node.op_type for node in graph.nodes] == ["MatMul", "Add"]
        matches(own(model(nodes, {"x": (3, 8)}, ["y"], consts)), 4.0, feeds={"x": numbers((3, 8))})


def test_a_quantized_where_is_a_where() -> None:
    nodes = [
        NODE("Greater", ["x", "zero"], ["c"], name="positive"),
        NODE("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantizer"),
        NODE(
            "QLinearWhere",
            ["c", "q", "s", "z", "k", "s", "z", "t", "z"],
            ["w"],
            name="node",
            domain=MICROSOFT,
        ),
        NODE("DequantizeLinear", ["w", "t", "z"], ["y"], name="float"),
    ]
    consts = {
        "zero": np.float32(0),
        "s": np.float32(1 / 32),
        "t": np.float32(1 / 16),
        "z": np.uint8(128),
        "k": np.full((1,), 60, np.uint8),
    }
    matches(own(model(nodes, {"x": (2, 3, 8)}, ["y"], consts)), 1.01)


def test_names_of_functions_that_onnx_runtime_inlined_before() -> None:
    """HardSwish of a file that ONNX Runtime saved is its body, with names of its own."""
    names = ["_inlfunc_HardSwish_HS_X", "_inlfunc_HardSwish_HS_X_2"]
    nodes = [
        NODE("HardSigmoid", ["x"], [names[0]], name="gate", alpha=1 / 6, beta=0.5),
        NODE("Mul", ["x", names[0]], ["h"], name="gated"),
        NODE("Reshape", ["h", "sizes"], [names[1]], name="flat"),
        NODE("HardSwish", [names[1]], ["y"], name="again"),
    ]
    proto = model(nodes, {"x": (2, 3, 8)}, ["y"], {"sizes": ints(2, 24)})
    assert "HardSwish" in [node.op_type for node in load(proto).nodes]
    values = {"x": numbers((2, 3, 8))}
    found = hexconv.simulate(hexconv.convert(proto, samples=[values]), values)["y"]
    hard = values["x"] * np.clip(values["x"] / 6 + 0.5, 0, 1)
    expected = (hard * np.clip(hard / 6 + 0.5, 0, 1)).reshape(2, 24)
    assert np.abs(found - expected).max() <= np.ptp(expected) / 60


def test_weights_that_are_computed_stay_unsupported() -> None:
    proto = by_blocks(4, with_zeros=False)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    proto.graph.initializer.remove(tensors["s"])
    sizes = list(tensors["s"].dims)
    proto.graph.input.append(helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, sizes))
    with pytest.raises(HexconvError, match="MatMulNBits"):
        load(proto)
