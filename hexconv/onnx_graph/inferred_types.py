"""The types of nodes' outputs as ONNX infers them, once for all nodes that are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError, infer_node_outputs

from hexconv.errors import ModelError
from hexconv.onnx_graph.inference import node_label, one_line
from hexconv.onnx_graph.malformed import MALFORMED, innermost

DATA_LIMIT = 4096
"""Elements up to which a constant may determine a shape."""
UNFIT = (InferenceError, ValidationError, onnx.defs.SchemaError, RuntimeError)
"""What ONNX raises on a node whose inputs or attributes its schema does not have."""

Key = tuple[object, ...]
Types = Sequence[onnx.TypeProto | None]


class InferredTypes:
    """Types by op, attributes, and types and small constants of the inputs.

    Args:
        opset: of the nodes.
    """

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._known: dict[Key, Types] = {}
        self._data: dict[ir.Value, onnx.TensorProto] = {}

    def of(self, node: ir.Node) -> Types:
        """The type of each output; None where ONNX infers none.

        Raises:
            ModelError: the inputs contradict each other or the op's schema.
        """
        data = {
            str(v.name): self._tensor(v)
            for v in node.inputs
            if v is not None and v.const_value is not None and v.const_value.size <= DATA_LIMIT
        }
        key = _key(node, data)
        found = self._known.get(key)
        if found is None:
            types = self._infer(node, data)
            _check_sizes(node, types)
            found = self._known[key] = [types.get(str(v.name)) for v in node.outputs]
        return found

    def _infer(
        self, node: ir.Node, data: dict[str, onnx.TensorProto]
    ) -> Mapping[str, onnx.TypeProto]:
        proto = ir.serde.serialize_node(node)
        types = {str(v.name): _type(v) for v in node.inputs if v is not None}
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset, node.domain)
            imports = [onnx.helper.make_opsetid("", self._opset)]
            result: Mapping[str, onnx.TypeProto] = infer_node_outputs(
                schema, proto, types, data, opset_imports=imports
            )
        except (*UNFIT, *MALFORMED) as error:
            raise ModelError(
                "a node does not fit its inputs", where=node_label(node), why=one_line(error)
            ) from error
        return result

    def _tensor(self, value: ir.Value) -> onnx.TensorProto:
        found = self._data.get(value)
        if found is None:
            assert value.const_value is not None
            try:
                found = self._data[value] = ir.serde.serialize_tensor(value.const_value)
            except ir.serde.SerdeError as error:  # strings
                raise ModelError(
                    f"the constant '{value.name}' cannot be read", why=innermost(error)
                ) from error
        return found


def _check_sizes(node: ir.Node, types: Mapping[str, onnx.TypeProto]) -> None:
    """Raise for a size below 0, which crashes what onnx infers of the nodes behind it (Slice)."""
    for name, found in types.items():
        sizes = [dim.dim_value for dim in found.tensor_type.shape.dim]
        if any(size < 0 for size in sizes):
            raise ModelError(
                "a node does not fit its inputs",
                where=node_label(node),
                why=f"its output '{name}' would have the sizes {sizes}",
            )


def _key(node: ir.Node, data: Mapping[str, onnx.TensorProto]) -> Key:
    attributes: tuple[bytes, ...] = ()
    if node.attributes:
        proto = ir.serde.serialize_node(node)
        attributes = tuple(a.SerializeToString(deterministic=True) for a in proto.attribute)
    inputs = [None if v is None else _input_key(v, data.get(str(v.name))) for v in node.inputs]
    outputs = [bool(v.name) for v in node.outputs]
    return (node.op_type, node.domain, attributes, tuple(inputs), tuple(outputs))


def _input_key(value: ir.Value, data: onnx.TensorProto | None) -> Key:
    if value.shape is None or value.dtype is None:
        raise ModelError(
            f"'{value.name}' is read, but nothing computes it",
            why="it is neither an input, nor an initializer, nor a node's output",
        )
    content = None if data is None else (data.raw_data or data.SerializeToString())
    return (value.dtype, tuple(value.shape), content)


def _type(value: ir.Value) -> onnx.TypeProto:
    assert value.shape is not None and value.dtype is not None
    return onnx.helper.make_tensor_type_proto(value.dtype.value, list(value.shape))
