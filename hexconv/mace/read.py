"""MACE's NetDef and weight file as an nnlib graph: written by hexconv, or by MACE's converter."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from hexconv.errors import FileError, GraphError
from hexconv.files import read_bytes
from hexconv.mace import proto
from hexconv.mace.write import DATA_TYPE, INTERFACE_ARG, NODE_ARG, ORIGIN_ARG
from hexconv.nnlib.graph import (
    Const,
    Graph,
    Interface,
    Node,
    Origin,
    Output,
    Padding,
    Ref,
)
from hexconv.nnlib.layout import Layout, Shape4

DTYPE = {number: name for name, number in DATA_TYPE.items()}


def read_graph(path: Path) -> Graph:
    """The graph in `NAME.pb` with the weights of `NAME.data` beside it.

    Raises:
        FileError: a file is missing, cut, or not MACE's.
        GraphError: the files do not fit each other, or the net is not for Hexagon.
    """
    blob = read_bytes(path, "model")
    multi = proto.MultiNetDef()
    try:
        multi.ParseFromString(blob)
    except DecodeError as error:
        raise FileError("this is not a MACE model", where=str(path), why=str(error)) from error
    nets = [net for net in multi.net_def if net.op]
    if not nets:
        raise FileError("this is not a MACE model", where=str(path), why="it has no ops")
    if len(nets) > 1:
        raise FileError(
            f"the model contains {len(nets)} nets", where=str(path), why="hexconv reads one"
        )
    data = _data(path.with_suffix(".data"), nets[0])
    try:
        return _graph(nets[0], data, multi.name or path.stem)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise FileError(
            "the model is damaged", where=str(path), why=f"{type(error).__name__}: {error}"
        ) from error


def _data(path: Path, net: Any) -> memoryview:
    start, size = net.data_offset, net.data_size
    needed = any(tensor.data_size for tensor in net.tensors)
    if not needed:
        return memoryview(b"")
    blob = memoryview(read_bytes(path, "weight file"))
    if start < 0 or len(blob) < start + size:
        raise FileError(
            "the weight file is too short",
            where=str(path),
            why=f"{len(blob)} bytes, the model needs {start + size}",
            hint="copy it again: .pb and .data must come from one conversion",
        )
    return blob[start:]


def _graph(net: Any, data: memoryview, name: str) -> Graph:
    args = {arg.name: arg for arg in net.arg}
    consts = [_const(tensor, data) for tensor in net.tensors]
    nodes = [_node(op) for op in net.op]
    _check_inputs(consts, nodes)
    told = json.loads(args[INTERFACE_ARG].s) if INTERFACE_ARG in args else {}
    inputs = [_interface(info, told.get("inputs", ())) for info in net.input_info]
    outputs = [_interface(info, told.get("outputs", ())) for info in net.output_info]
    return Graph(name, consts, nodes, inputs, outputs)


def _const(tensor: Any, data: memoryview) -> Const:
    dtype = np.dtype(DTYPE[tensor.data_type])
    shape = tuple(int(size) for size in tensor.dims)
    if len(shape) > 4 or any(size < 1 for size in shape):
        raise GraphError(f"the const '{tensor.name}' has shape {list(shape)}")
    shape = (1,) * (4 - len(shape)) + shape
    value_range = (tensor.minval, tensor.maxval) if tensor.quantized else None
    if tensor.data_size == 0:
        empty = np.broadcast_to(np.zeros((), dtype), shape)
        return Const(tensor.node_id, tensor.name, empty, True, value_range)
    if prod(shape) != tensor.data_size:
        raise GraphError(
            f"the const '{tensor.name}' has {tensor.data_size} elements in a shape {list(shape)}"
        )
    end = tensor.offset + tensor.data_size * dtype.itemsize
    if tensor.offset < 0 or end > len(data):
        raise GraphError(f"the const '{tensor.name}' is outside the weight file")
    array = np.frombuffer(data, dtype, tensor.data_size, tensor.offset).reshape(shape)
    return Const(tensor.node_id, tensor.name, array, False, value_range)


def _node(op: Any) -> Node:
    args = {arg.name: arg for arg in op.arg}
    outputs = []
    for shape, kind in zip(op.output_shape, op.output_type, strict=True):
        outputs.append(Output(_four(shape.dims), DTYPE[kind]))
    origin = json.loads(args[ORIGIN_ARG].s) if ORIGIN_ARG in args else None
    return Node(
        id=op.node_id,
        name=op.name,
        op=op.type,
        inputs=tuple(Ref(item.node_id, item.output_port) for item in op.node_input),
        outputs=tuple(outputs),
        padding=Padding.from_code(op.padding),
        onnx_node=args[NODE_ARG].s.decode() if NODE_ARG in args else "",
        origin=origin
        and Origin(origin["tensor"], tuple(origin["shape"]), _layout(origin["layout"])),
    )


def _four(dims: Any) -> Shape4:
    sizes = [int(size) for size in dims]
    if len(sizes) > 4 or any(size < 0 for size in sizes):
        raise GraphError(f"an output of shape {sizes}")
    b, h, w, d = [1] * (4 - len(sizes)) + sizes
    return b, h, w, d


def _layout(axes: Any) -> Layout:
    b, h, w, d = (tuple(int(axis) for axis in group) for group in axes)
    return Layout((b, h, w, d))


def _interface(info: Any, told: Any) -> Interface:
    """An input or output; the library's shape is all that is known where hexconv noted nothing.

    So it is in nets of MACE's own converter, and in those that its layer tool cuts.
    """
    plain = Interface(info.name, _four(info.dims), Layout.plain(4))
    for item in told:
        if item["name"] == info.name:
            noted = _noted(item)
            return noted if noted.bhwd == plain.bhwd else plain
    return plain


def _noted(item: Any) -> Interface:
    low, high = item["range"]
    return Interface(
        str(item["name"]),
        tuple(int(size) for size in item["shape"]),
        _layout(item["layout"]),
        (float(low), float(high)),
        nhwc=item.get("nhwc") is True,
    )


def _check_inputs(consts: list[Const], nodes: list[Node]) -> None:
    known = {const.id for const in consts} | {node.id for node in nodes}
    for node in nodes:
        for ref in node.inputs:
            if ref.node not in known:
                raise GraphError(
                    f"the node '{node.name}' ({node.op}) reads node {ref.node}, which is not there"
                )
