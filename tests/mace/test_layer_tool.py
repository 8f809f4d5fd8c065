"""MACE's layer tool writes a model for each layer; what the runtime appends stays as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.mace import proto, to_proto

UINT8 = 2
SKIPPED = ("QuantizeINPUT_f_to_8", "DequantizeOUTPUT_8tof", "INPUT", "OUTPUT")


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def network(folder: Path) -> Path:
    """Images, a Concat, a mean and a product whose int32 sums are a separate node."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("AveragePool", ["r"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["p", "a"], ["j"], axis=1),
        helper.make_node("Transpose", ["j"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["j", "t"], ["m"]),
        helper.make_node("Sigmoid", ["m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10, 4, 4])],
        [numpy_helper.from_array(random(5, 3, 3, 3), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    hexconv.convert(folder / "net.onnx", samples=[{"x": random(1, 3, 8, 6)}]).save(folder)
    return folder / "net.pb"


def parsed(path: Path) -> Any:
    multi = proto.MultiNetDef()
    multi.ParseFromString(path.read_bytes())
    return multi


def argument(op: Any, name: str) -> Any:
    return next((arg for arg in op.arg if arg.name == name), None)


def layer_models(multi: Any) -> dict[str, Any]:
    """What tools/python/layers_validate.py writes, as we understand it, by the op's name."""
    found = {}
    for position, op in enumerate(multi.net_def[0].op):
        if op.type in SKIPPED or len(op.output) != 1:
            continue
        made = copy.deepcopy(multi)
        net = made.net_def[0]
        del net.op[position + 1 : -1]
        del net.output_info[:]
        info = net.output_info.add(name=op.output[0], data_type=1)
        info.data_format = argument(op, "data_format").i
        info.dims.extend(op.output_shape[0].dims)
        assert argument(op, "T").i != proto.DATA_TYPES["DT_INT32"]
        info.scale, info.zero_point = op.quantize_info[0].scale, op.quantize_info[0].zero_point
        last = net.op[-1]
        for port in range(3):
            last.node_input[port].node_id = op.node_id
        del last.node_input[3:]
        found[op.name] = made
    return found


def test_the_tool_takes_quantized_layers_and_passes_over_the_others(tmp_path: Path) -> None:
    multi = parsed(network(tmp_path))
    taken = layer_models(multi)
    for op in multi.net_def[0].op:
        first = [*op.output_type][:1]
        assert (op.name in taken) == (op.type not in SKIPPED and first == [UINT8])
    assert any(op.output_type[0] == proto.DATA_TYPES["DT_INT32"] for op in multi.net_def[0].op[:-1])
    assert len(taken) >= 6


def test_each_layer_model_returns_what_the_layer_does(tmp_path: Path) -> None:
    path = network(tmp_path)
    feeds = {"x": random(1, 3, 8, 6)}
    _, taps = hexconv.simulate(hexconv.load(path), feeds, library="v60", taps=True)
    compared = []
    for name, made in layer_models(parsed(path)).items():
        layer = tmp_path / "layer.pb"
        layer.write_bytes(made.SerializeToString())
        layer.with_suffix(".data").write_bytes(path.with_suffix(".data").read_bytes())
        (result,) = hexconv.simulate(hexconv.load(layer), feeds, library="v60").values()
        if name in taps.held_by or name in taps.includes:
            continue  # cut there, the library fuses other nodes
        data, low, high = taps[name]
        step = (high.item() - low.item()) / 255
        assert np.array_equal(np.rint((result - low.item()) / step), data), name
        compared.append(name)
    assert len(compared) >= 5


def test_layers_have_their_onnx_names_where_mace_can_compare_them(tmp_path: Path) -> None:
    multi = parsed(network(tmp_path))
    formats = {
        op.output[0]: argument(op, "data_format").i
        for op in multi.net_def[0].op
        if len(op.output) == 1
    }
    graph = hexconv.load(tmp_path / "net.pb").graph
    images = {
        node.origin.tensor
        for node in graph.nodes
        if node.origin and node.origin.layout.order == (0, 2, 3, 1)
    }
    assert {"r", "p", "a"} <= images & set(formats)
    assert all(formats[name] == 1 for name in ("r", "p", "a"))  # NHWC: MACE's tools turn it
    assert formats["y"] == 0


def appended(multi: Any) -> Any:
    """What MACE's runtime reads to append nodes (hexagon_dsp_wrapper.cc SetupGraph)."""
    (net,) = multi.net_def
    return (
        [(t.node_id, tuple(t.dims), t.data_type, t.offset, t.data_size) for t in net.tensors],
        [
            (
                op.type,
                op.node_id,
                op.padding,
                [(ref.node_id, ref.output_port) for ref in op.node_input],
                [tuple(shape.dims) for shape in op.output_shape],
                list(op.output_type),
            )
            for op in net.op
        ],
    )


def test_what_the_runtime_appends_does_not_depend_on_the_tools_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = hexconv.load(network(tmp_path)).graph
    told = to_proto(graph)
    monkeypatch.setattr("hexconv.mace.write.layers", lambda graph: {})
    silent = to_proto(graph)
    assert appended(told) == appended(silent)
    assert told != silent


def test_a_graph_whose_range_is_elsewhere_has_no_layers(tmp_path: Path) -> None:
    graph = hexconv.load(network(tmp_path)).graph
    last = graph.nodes[-1]
    data, low, high = last.inputs
    graph.nodes[-1] = replace(last, inputs=(data, high, low))
    assert all(len(op.output) != 1 for op in to_proto(graph).net_def[0].op)
