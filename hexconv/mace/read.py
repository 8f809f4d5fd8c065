"""MACE's NetDef and weight file as an nnlib graph: written by hexconv, or by MACE's converter.

What is returned is a graph: everything that reads one can rely on `nnlib.structure`.
"""

from __future__ import annotations

import hashlib
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from hexconv.errors import FileError, GraphError
from hexconv.files import complete, read_bytes
from hexconv.mace import proto
from hexconv.mace.notes import NODE_ARG, Notes, read_digest, read_interfaces, read_origin
from hexconv.mace.write import DATA_TYPE
from hexconv.names import name_fault
from hexconv.nnlib import structure
from hexconv.nnlib.graph import Const, Graph, Interface, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Layout, Shape4

DTYPE = {number: name for name, number in DATA_TYPE.items()}
DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
"""What reading a message raises whose parts do not fit each other."""


def read_graph(path: Path) -> Graph:
    """The graph in `NAME.pb` with the weights of `NAME.data` beside it.

    Raises:
        FileError: a file is missing, cut, not MACE's, or of another conversion than the other.
        GraphError: the net is not a graph of the Hexagon library's ops.
    """
    complete(path.parent)
    multi, net = _parse(path)
    try:
        notes = _notes(net)
        data = _data(path.parent / f"{path.stem}.data", net, read_digest(notes))
        name = _file_name(_text(multi.name) or path.stem)
        graph = _graph(net, data, name, notes)
    except DAMAGED as error:
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise FileError("the model is damaged", where=str(path), why=why) from error
    except GraphError as error:
        raise GraphError(error.what, where=str(path), why=error.why) from error
    structure.require(graph, str(path))
    _check_origins(graph, path)
    return graph


def _parse(path: Path) -> tuple[Any, Any]:
    """The file's message, and the one net in it."""
    blob = read_bytes(path, "model")
    multi = proto.MultiNetDef()
    try:
        multi.ParseFromString(blob)
    except (DecodeError, ValueError) as error:
        raise FileError("this is not a MACE model", where=str(path), why=str(error)) from error
    nets = [net for net in multi.net_def if net.op]
    if not nets:
        raise FileError("this is not a MACE model", where=str(path), why="it has no ops")
    if len(nets) > 1:
        raise FileError(
            f"the model contains {len(nets)} nets", where=str(path), why="hexconv reads one"
        )
    return multi, nets[0]


def _text(value: str | bytes) -> str:
    """A name in a message."""
    if fault := name_fault(value):
        raise ValueError(fault)
    return str(value)


def _file_name(name: str) -> str:
    """The model's name, which its files get too."""
    if name in (".", "..") or any(char in name for char in "/\\\0"):
        raise ValueError(f"{name[:80]!r} cannot name a model")
    return name


def _notes(message: Any) -> Notes:
    return {_text(arg.name): arg.s for arg in message.arg}


def _data(path: Path, net: Any, digest: str) -> memoryview:
    start, size = net.data_offset, net.data_size
    if not any(tensor.data_size for tensor in net.tensors):
        return memoryview(b"")
    blob = memoryview(read_bytes(path, "weight file"))
    if start < 0 or size < 0:
        raise ValueError(f"weights of {size} bytes from byte {start} on")
    if len(blob) < start + size:
        raise FileError(
            "the weight file is too short",
            where=str(path),
            why=f"{len(blob)} bytes, the model needs {start + size}",
            hint="copy it again: .pb and .data must come from one conversion",
        )
    if digest and hashlib.sha256(blob).hexdigest() != digest:
        raise FileError(
            "the weight file is not the one that belongs to the model",
            where=str(path),
            why="its SHA-256 is not the one in the .pb",
            hint="copy both again: .pb and .data must come from one conversion",
        )
    return blob[start:]


def _graph(net: Any, data: memoryview, name: str, notes: Notes) -> Graph:
    consts = [_const(tensor, data) for tensor in net.tensors]
    nodes = [_node(op) for op in net.op]
    noted = [read_interfaces(notes, side) for side in ("inputs", "outputs")]
    inputs = [_interface(info, noted[0]) for info in net.input_info]
    outputs = [_interface(info, noted[1]) for info in net.output_info]
    return Graph(name, consts, nodes, inputs, outputs)


def _const(tensor: Any, data: memoryview) -> Const:
    name = _text(tensor.name)
    dtype = np.dtype(_dtype(tensor.data_type, f"the const '{name}'"))
    shape = _four(tensor.dims, f"the const '{name}'")
    value_range = (tensor.minval, tensor.maxval) if tensor.quantized else None
    if value_range is not None and not _is_range(*value_range):
        raise GraphError(f"the const '{name}' has the range {tensor.minval:g}..{tensor.maxval:g}")
    if tensor.data_size == 0:
        if tensor.float_data or tensor.int32_data:
            raise GraphError(
                f"the const '{name}' holds its values in the .pb", why="they belong in the .data"
            )
        empty = np.broadcast_to(np.zeros((), dtype), shape)
        return Const(tensor.node_id, name, empty, True, value_range)
    if prod(shape) != tensor.data_size:
        raise GraphError(
            f"the const '{name}' has {tensor.data_size} elements in a shape {list(shape)}"
        )
    end = tensor.offset + tensor.data_size * dtype.itemsize
    if tensor.offset < 0 or end > len(data):
        raise GraphError(f"the const '{name}' is outside the weight file")
    array = np.frombuffer(data, dtype, tensor.data_size, tensor.offset).reshape(shape)
    return Const(tensor.node_id, name, array, False, value_range)


def _is_range(low: float, high: float) -> bool:
    return isfinite(low) and isfinite(high) and low <= high


def _node(op: Any) -> Node:
    notes, name = _notes(op), _text(op.name)
    where = f"an output of '{name}'"
    if len(op.output_shape) != len(op.output_type):
        raise GraphError(
            f"'{name}' has {len(op.output_shape)} output shapes and {len(op.output_type)} types"
        )
    outputs = tuple(
        Output(_four(shape.dims, where), _dtype(kind, where))
        for shape, kind in zip(op.output_shape, op.output_type, strict=True)
    )
    return Node(
        id=op.node_id,
        name=name,
        op=_text(op.type),
        inputs=tuple(Ref(item.node_id, item.output_port) for item in op.node_input),
        outputs=outputs,
        padding=Padding.from_code(op.padding),
        onnx_node=_text(notes.get(NODE_ARG, b"").decode()),
        origin=read_origin(notes),
    )


def _check_origins(graph: Graph, path: Path) -> None:
    """A noted ONNX tensor has to have the elements of the output that it is in."""
    for node in graph.nodes:
        if node.origin is not None and (fault := name_fault(node.origin.tensor)):
            raise FileError("the model is damaged", where=str(path), why=fault)
        held = prod(node.outputs[0].shape) if node.outputs else 0
        if node.origin is not None and prod(node.origin.shape) != held:
            noted = f"'{node.origin.tensor}' of shape {list(node.origin.shape)}"
            why = f"{noted} is noted for the node '{node.name}', which has {held} elements"
            raise FileError("the model is damaged", where=str(path), why=why)


def _dtype(kind: int, what: str) -> str:
    if kind not in DTYPE:
        raise GraphError(f"{what} is of type {kind}", why=f"hexconv reads {', '.join(DATA_TYPE)}")
    return DTYPE[kind]


def _four(dims: Any, what: str) -> Shape4:
    sizes = [int(size) for size in dims]
    if len(sizes) > 4 or any(size < 1 for size in sizes):
        raise GraphError(f"{what} has the shape {sizes}", why="it takes 1 to 4 sizes of 1 or more")
    b, h, w, d = [1] * (4 - len(sizes)) + sizes
    return b, h, w, d


def _interface(info: Any, noted: dict[str, Interface]) -> Interface:
    """An input or output; without a note from hexconv only the library's shape is known.

    This is so in nets of MACE's own converter, and in those that its layer tool cuts.
    """
    name = _text(info.name)
    plain = Interface(name, _four(info.dims, f"'{name}'"), Layout.plain(4))
    found = noted.get(name, plain)
    return found if found.bhwd == plain.bhwd else plain
