"""What a parsed ONNX file must be before onnx's C++ and onnx-ir read it.

They take much on trust: a size, an axis or an element type that no model has ends in a crash of
the process, or in an exception that does not say where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, prod

import onnx
from onnx import AttributeProto, TensorProto

from hexconv.errors import ModelError
from hexconv.names import name_fault
from hexconv.onnx_graph.arguments import LARGEST
from hexconv.onnx_graph.protos import inner_graphs
from hexconv.onnx_graph.signatures import ONNX_DOMAINS, Call, function_faults, signature_faults

INT32 = 2**31 - 1
LARGEST_STORED = 2**31
"""Elements of a tensor in a file."""

AXES = {"axis", "axes", "perm", "batch_axis", "time_axis", "batch_dims", "scan_input_axes"}
"""Attributes that onnx's C++ narrows to int32."""

OPEN_ENDED = {"min", "max", "value", "value_float", "value_floats"}
"""Attributes of floats that may be infinite: bounds of Clip, what Pad fills with, constants."""

TYPES = {"to", "dtype", "output_dtype", "stash_type", "softmax_precision"}
"""Attributes that name an element type."""

MODEL_TEXTS = ("producer_name", "producer_version", "domain")
KNOWN_TYPES = frozenset(TensorProto.DataType.values())

Functions = Mapping[tuple[str, str], onnx.FunctionProto]
"""Of a model, by domain and name."""


def check_proto(proto: onnx.ModelProto, label: str) -> None:
    """Raise for a model whose parts are none.

    Raises:
        ModelError: a name is not UTF-8; an element type does not exist; a tensor has more
            elements than 2^28 (2^31 in the file); an axis or the size of an attribute is none;
            a node has not the inputs, outputs and attributes of its op.
    """
    for where, why in _faults(proto):
        raise ModelError("the ONNX model is invalid", where=f"{label}, {where}", why=why)


def _faults(proto: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """Where something is wrong, and what."""
    yield from _texts([getattr(proto, name) for name in MODEL_TEXTS])
    yield from _texts([name for item in proto.functions for name in (item.name, item.domain)])
    functions = {(item.domain, item.name): item for item in proto.functions}
    yield from _inputs(proto.graph)
    yield from _below([proto.graph], [], _opset(proto.opset_import), functions)
    for function in proto.functions:
        opset = _opset(function.opset_import)
        if not 1 <= opset <= onnx.defs.onnx_opset_version():
            yield f"function '{function.name}'", f"ONNX has no opset {opset}"
        else:
            yield from _below([], list(function.node), opset, functions)


def _below(
    graphs: list[onnx.GraphProto], nodes: list[onnx.NodeProto], opset: int, functions: Functions
) -> Iterator[tuple[str, str]]:
    """Of graphs and nodes, and of the graphs in their attributes."""
    while graphs or nodes:
        while graphs:
            graph = graphs.pop()
            yield from _of_graph(graph)
            nodes.extend(graph.node)
        while nodes:
            node = nodes.pop()
            yield from _of_node(node)
            yield from _of_call(node, opset, functions)
            graphs.extend(inner_graphs(node))


def _opset(imports: Iterable[onnx.OperatorSetIdProto]) -> int:
    return next((item.version for item in imports if item.domain in ONNX_DOMAINS), 1)


def _of_call(node: onnx.NodeProto, opset: int, functions: Functions) -> Iterator[tuple[str, str]]:
    function = functions.get((node.domain, node.op_type))
    if function is not None:
        faults = function_faults(node, function)
    else:
        faults = signature_faults(Call.of_proto(node), opset)
    yield from ((_label(node), why) for why in faults)


def _label(node: onnx.NodeProto) -> str:
    """The node as errors name it: by an output where it has no name."""
    return f"node '{node.name or next(iter(node.output), '')}' ({node.op_type})"


def _inputs(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    """Inputs without a type: nothing else in the file says what they are."""
    stored = {item.name for item in graph.initializer}
    for value in graph.input:
        kind = value.type.WhichOneof("value")
        if value.name not in stored and (
            kind is None or (kind == "tensor_type" and not value.type.tensor_type.elem_type)
        ):
            yield f"input '{value.name}'", "it declares no element type"


def _of_graph(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    values = (*graph.input, *graph.output, *graph.value_info)
    yield from _texts([item.name for item in (*values, *graph.initializer)])
    yield from _texts([graph.name])
    yield from _comments([graph.doc_string, *(item.doc_string for item in values)])
    stored = {item.name for item in graph.initializer}
    for value in values:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and tensor.elem_type not in KNOWN_TYPES:
            yield f"value '{value.name}'", f"ONNX has no element type {tensor.elem_type}"
        yield from _texts([dim.dim_param for dim in tensor.shape.dim])
        sizes = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
        if prod(max(size, 0) or 1 for size in sizes) > LARGEST and value.name not in stored:
            yield f"value '{value.name}'", f"its shape {sizes} has 2^28 elements or more"
    for initializer in graph.initializer:
        yield from _of_tensor(initializer)
    for sparse in graph.sparse_initializer:
        yield from _of_tensor(sparse.values)
        yield from _of_tensor(sparse.indices)


def _of_node(node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
    attributes = node.attribute
    names = [attribute.name for attribute in attributes]
    yield from _texts((node.name, node.op_type, node.domain, *node.input, *node.output, *names))
    yield from _comments([node.doc_string])
    here = _label(node)
    if len(set(names)) < len(names):
        yield here, f"attribute '{next(n for n in names if names.count(n) > 1)}' is given twice"
    for attribute in attributes:
        for where, why in _of_attribute(attribute):
            yield f"{here}, {where}", why
        if node.domain in ONNX_DOMAINS and attribute.name not in OPEN_ENDED:
            yield from ((f"{here}, {where}", why) for where, why in _not_finite(attribute))


def _of_attribute(attribute: AttributeProto) -> Iterator[tuple[str, str]]:
    where = f"attribute '{attribute.name}'"
    if attribute.type not in AttributeProto.AttributeType.values():
        yield where, f"ONNX has no type {attribute.type} of attributes"
    for text in (attribute.s, *attribute.strings):
        if not _is_utf8(text):
            yield where, f"{_short(text)} is not UTF-8"
    for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
        yield from _of_tensor(tensor)
    numbers = (attribute.i, *attribute.ints)
    if attribute.name in AXES and any(abs(number) > INT32 for number in numbers):
        yield where, f"{_shown(numbers)} is no axis"
    is_written = attribute.type == AttributeProto.INT and not attribute.ref_attr_name
    if is_written and attribute.name in TYPES and not _is_type(attribute):
        last = max(KNOWN_TYPES)
        yield where, f"ONNX has no element type {attribute.i}, only 1 to {last}"


def _is_type(attribute: AttributeProto) -> bool:
    """0 is none: where a type may be left out, it says so."""
    return attribute.i in KNOWN_TYPES and (attribute.i > 0 or attribute.name != "to")


def _not_finite(attribute: AttributeProto) -> Iterator[tuple[str, str]]:
    numbers = (attribute.f, *attribute.floats)
    if not all(map(isfinite, numbers)):
        yield (
            f"attribute '{attribute.name}'",
            f"{next(n for n in numbers if not isfinite(n))} is not finite",
        )


def _of_tensor(tensor: TensorProto) -> Iterator[tuple[str, str]]:
    where = f"tensor {tensor.name!r:.80}"
    if tensor.data_type not in KNOWN_TYPES:
        yield where, f"ONNX has no element type {tensor.data_type}"
    dims = list(tensor.dims)
    if any(size < 0 for size in dims) or prod(dims) > LARGEST_STORED:
        yield where, f"{dims} is no shape of at most 2^31 elements"
    for entry in tensor.external_data:
        yield from _texts([entry.key, entry.value])


def _texts(texts: Iterable[str | bytes]) -> Iterator[tuple[str, str]]:
    """Names that are none."""
    for text in texts:
        if fault := name_fault(text):
            yield "a name", fault


def _comments(texts: Iterable[str | bytes]) -> Iterator[tuple[str, str]]:
    """Comments are not shown; onnx-ir takes no bytes for one."""
    yield from _texts(text for text in texts if isinstance(text, bytes))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _short(text: bytes) -> str:
    return f"{text[:60]!r}"


def _shown(numbers: Iterable[int]) -> int:
    return next(number for number in numbers if abs(number) > INT32)
