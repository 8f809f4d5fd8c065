"""An nnlib graph as MACE's NetDef and its weight file (docs/nnlib/mace-contract.md#graph)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hexconv.arrays import contiguous
from hexconv.mace import proto
from hexconv.mace.layer_tool import (
    DATA_FORMAT_ARG,
    DATA_TYPE_ARG,
    LayerInfo,
    layers,
    tensor_names,
)
from hexconv.mace.notes import (
    DATA_ARG,
    INTERFACE_ARG,
    NODE_ARG,
    ORIGIN_ARG,
    interface_note,
    origin_note,
)
from hexconv.nnlib.graph import Const, Graph, Interface, Node, Ref
from hexconv.nnlib.ops import spec

DATA_TYPE = {
    "float32": proto.DATA_TYPES["DT_FLOAT"],
    "uint8": proto.DATA_TYPES["DT_UINT8"],
    "int32": proto.DATA_TYPES["DT_INT32"],
    "int16": proto.DATA_TYPES["DT_INT16"],
    "uint16": proto.DATA_TYPES["DT_UINT16"],
}
FORMAT_NONE, FORMAT_NHWC = 0, 1
# What MACE's ONNX converter writes for a quantized Hexagon model.
NET_ARGS = {
    "filter_format": 101,  # OIHW: the format of the source model
    "data_format": 2,  # NCHW, likewise
    "framework_type": 2,  # ONNX
    "opencl_mem_type": 2,
    "runtime_type": 3,  # HEXAGON
    "quantize_flag": 1,
}
ALIGN = 4


def to_proto(graph: Graph) -> Any:
    """The MultiNetDef of a graph, weights stripped."""
    multi = proto.MultiNetDef(version_code=1, name=graph.name)
    net = multi.net_def.add(name="default_graph", data_offset=0, infer_order=0)
    offset = 0
    for const in graph.consts:
        offset = _aligned(offset)
        _const(net.tensors.add(), const, offset)
        offset += _nbytes(const)
    net.data_size = offset
    named = layers(graph)
    names = tensor_names(graph, named)
    for node in graph.nodes:
        message = net.op.add()
        _op(message, node, names)
        _name_outputs(message, node, names, named.get(node.id))
    for name, value in NET_ARGS.items():
        net.arg.add(name=name, i=value)
    net.arg.add(name=INTERFACE_ARG, s=interface_note(graph))
    net.arg.add(name=DATA_ARG, s=data_digest(graph).encode())
    if graph.nodes:
        for item in graph.inputs:
            _info(net.input_info.add(), item, graph.nodes[0].id)
        for item in graph.outputs:
            _info(net.output_info.add(), item, graph.nodes[-1].id)
    multi.input_tensor.extend(item.name for item in graph.inputs)
    multi.output_tensor.extend(item.name for item in graph.outputs)
    return multi


def data_pieces(graph: Graph) -> Iterator[bytes | memoryview]:
    """The weight file in chunks: every const in order, each on a multiple of 4 bytes."""
    offset = 0
    for const in graph.consts:
        gap = _aligned(offset) - offset
        if gap:
            yield bytes(gap)
        offset += gap
        if not const.shape_only:
            yield contiguous(const.array).reshape(-1).view(np.uint8).data
        offset += _nbytes(const)


def data_digest(graph: Graph) -> str:
    """The SHA-256 of the weight file, in hexadecimal."""
    digest = hashlib.sha256()
    for piece in data_pieces(graph):
        digest.update(piece)
    return digest.hexdigest()


def _aligned(offset: int) -> int:
    return -(-offset // ALIGN) * ALIGN


def _nbytes(const: Const) -> int:
    return 0 if const.shape_only else int(const.array.nbytes)


def _const(message: Any, const: Const, offset: int) -> None:
    message.dims.extend(const.array.shape)
    message.data_type = DATA_TYPE[const.array.dtype.name]
    message.name = const.name
    message.node_id = const.id
    message.offset = offset
    message.data_size = 0 if const.shape_only else const.array.size
    if const.range is not None:
        low, high = const.range
        message.quantized = True
        message.minval, message.maxval = low, high
        _scale(message, const.array.dtype.name, low, high)


def _scale(message: Any, dtype: str, low: float, high: float) -> None:
    if dtype == "uint8":
        message.scale = (high - low) / 255.0
        zero = round(-low / message.scale) if message.scale > 0 else 0
        message.zero_point = max(0, min(255, zero))
    else:
        message.scale = (high - low) / (2.0**32 - 1.0)
        message.zero_point = 0


def _op(message: Any, node: Node, names: Mapping[Ref, str]) -> None:
    message.name, message.type, message.node_id = node.name, node.op, node.id
    message.op_id = spec(node.op).id or 0
    message.padding = node.padding.code
    message.input.extend(names[ref] for ref in node.inputs)
    for ref in node.inputs:
        message.node_input.add(node_id=ref.node, output_port=ref.port)
    for output in node.outputs:
        message.output_shape.add(dims=output.shape)
        message.output_type.append(DATA_TYPE[output.dtype])
        message.out_max_byte_size.append(output.nbytes)
    if node.onnx_node:
        message.arg.add(name=NODE_ARG, s=node.onnx_node.encode())
    if node.origin is not None:
        message.arg.add(name=ORIGIN_ARG, s=origin_note(node.origin))


def _name_outputs(
    message: Any, node: Node, names: Mapping[Ref, str], layer: LayerInfo | None
) -> None:
    """One name and what MACE's layer tool asks for, or such names that it passes the node over."""
    if layer is None:
        if len(node.outputs) > 1:
            message.output.extend(names[Ref(node.id, port)] for port in range(len(node.outputs)))
        return
    message.output.append(layer.tensor)
    low, high = layer.range
    info = message.quantize_info.add(minval=low, maxval=high)
    _scale(info, "uint8", low, high)
    message.arg.add(name=DATA_FORMAT_ARG, i=layer.data_format)
    message.arg.add(name=DATA_TYPE_ARG, i=DATA_TYPE["uint8"])


def _info(message: Any, item: Interface, node_id: int) -> None:
    message.name = item.name
    message.node_id = node_id
    message.dims.extend(item.bhwd)
    message.max_byte_size = 4 * int(np.prod(item.bhwd))
    message.data_type = DATA_TYPE["float32"]
    message.data_format = FORMAT_NONE if item.data_format == "NONE" else FORMAT_NHWC
    low, high = item.range
    if high > low:
        message.scale = (high - low) / 255.0
        message.zero_point = round(-low / message.scale)
