"""Make nodes in a graph in canonical form: each is folded or has its shape and type inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.errors import HexconvError, ModelError, UnsupportedOpError
from hexconv.names import TakenNames, unique_name
from hexconv.onnx_graph.arguments import LARGEST
from hexconv.onnx_graph.evaluate import NUMPY, RANDOM, SIZED_BY_VALUES, evaluate
from hexconv.onnx_graph.inference import node_label, static_sizes
from hexconv.onnx_graph.inferred_types import InferredTypes
from hexconv.onnx_graph.operands import check_operands

# The one opset of the canonical form: the newest of which the CPU provider of onnxruntime runs
# every op (Swish of opset 24 has no kernel under 25 and later).
OPSET = 24
# Ops for which ONNX infers nothing.
LIKE_FIRST_INPUT = ("GroupNormalization", "MeanVarianceNormalization")

Attrs = Mapping[str, Any]
Operand = ir.Value | None


class FloatBuilder:
    """Inserts new nodes before the current one, with unique names and known shapes."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.names = TakenNames(str(value.name) for value in graph.inputs)
        self.names.update(str(name) for name in graph.initializers)
        self.node_names = TakenNames()
        self._collect_names(graph)
        self.before: ir.Node | None = None
        self._new: dict[ir.Value, None] = {}
        self._types = InferredTypes(OPSET)
        self._shared: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def _collect_names(self, body: ir.Graph) -> None:
        """Of nodes and their outputs: each pass makes a builder, so this is called often."""
        for node in body:
            for value in node.outputs:
                if value.name:
                    self.names.add(value.name)
            if node.name:
                self.node_names.add(node.name)
            for attribute in node.attributes.values() if node.attributes else ():
                if attribute.type == ir.AttributeType.GRAPH:
                    self._collect_names(attribute.as_graph())
                elif attribute.type == ir.AttributeType.GRAPHS:
                    for inner in attribute.as_graphs():
                        self._collect_names(inner)

    def at(self, node: ir.Node) -> FloatBuilder:
        """New nodes go before `node` and are named after it."""
        self.before = node
        self._new.clear()
        return self

    @property
    def count(self) -> int:
        """How many values were made since `at`."""
        return len(self._new)

    @property
    def made(self) -> list[ir.Node]:
        """The nodes inserted since `at`, in order, that still exist."""
        return self.made_after(0)

    def made_after(self, count: int) -> list[ir.Node]:
        """The same, without the nodes of the first `count` values."""
        producers = dict.fromkeys(value.producer() for value in islice(self._new, count, None))
        return [node for node in producers if node is not None and node.graph is not None]

    def fresh(self, hint: str) -> str:
        """An unused value name."""
        return unique_name(hint, self.names)

    def fresh_node(self, hint: str) -> str:
        """An unused node name."""
        return unique_name(hint, self.node_names)

    def const(self, array: npt.ArrayLike, hint: str = "") -> ir.Value:
        """An initializer; small ones of equal content are shared.

        Args:
            array: values; give int64 or float32 (Python numbers become those).
            hint: base of its name, by default the current node's name.
        """
        values = _plain(np.asarray(array))
        key = (values.dtype.str, values.shape, values.tobytes() if values.size <= 64 else b"")
        found = self._shared.get(key) if values.size <= 64 else None
        if found is not None and found.graph is self.graph:
            return found
        name = self.fresh(hint or f"{self._stem()}_const")
        value = constant(name, values)
        self.graph.register_initializer(value)
        if values.size <= 64:
            self._shared[key] = value
        return value

    def change_const(self, node: ir.Node, position: int, array: npt.ArrayLike, suffix: str) -> None:
        """Let a node read another constant, named after the one that it read."""
        value = node.inputs[position]
        assert value is not None
        node.replace_input_with(position, self.const(array, f"{value.name}{suffix}"))

    def op(
        self,
        op_type: str,
        inputs: Sequence[Operand | npt.ArrayLike],
        attrs: Attrs | None = None,
        *,
        name: str = "",
        domain: str = "",
    ) -> ir.Value:
        """One new node with one output; arrays and numbers among `inputs` become constants."""
        return self.ops(op_type, inputs, attrs, name=name, domain=domain)[0]

    def ops(
        self,
        op_type: str,
        inputs: Sequence[Operand | npt.ArrayLike],
        attrs: Attrs | None = None,
        *,
        outputs: int = 1,
        name: str = "",
        domain: str = "",
    ) -> list[ir.Value]:
        """Like `op`, for several outputs."""
        operands = [
            item if item is None or isinstance(item, ir.Value) else self.const(item)
            for item in inputs
        ]
        stem = name or f"{self._stem()}_{op_type.lower()}"
        node = ir.node(op_type, operands, attrs, domain=domain, num_outputs=outputs, version=OPSET)
        node.name = unique_name(stem, self.node_names)
        for value in node.outputs:
            value.name = self.fresh(stem)
        folded = self.fold(node)
        if folded is not None:
            for value in node.outputs:
                self.names.discard(str(value.name))
            results = [
                self.const(array, str(v.name))
                for array, v in zip(folded, node.outputs, strict=False)
            ]
            _detach(node)
            return results
        self.infer(node)
        if self.before is not None:
            self.graph.insert_before(self.before, node)
        else:
            self.graph.append(node)
        self._new.update(dict.fromkeys(node.outputs))
        return list(node.outputs)

    def fold(self, node: ir.Node) -> list[npt.NDArray[Any]] | None:
        """The node's outputs, if they can be computed now."""
        if node.op_type in ("Shape", "Size") and node.domain == "" and node.inputs[0] is not None:
            return [_shape_of(node)]
        if node.op_type in RANDOM or node.domain not in ("", "ai.onnx.ml"):
            return None
        inputs: list[npt.NDArray[Any] | None] = []
        for value in node.inputs:
            if value is None:
                inputs.append(None)
            elif value.const_value is None:
                return None
            else:
                inputs.append(value.const_value.numpy())
        if not inputs and node.op_type != "Constant":
            return None
        self._check_size(node, inputs)
        try:
            return [_plain(array) for array in evaluate(node, inputs, OPSET)]
        except HexconvError:
            raise
        except Exception as error:
            # ONNX Runtime and onnx.reference make no guarantee about what they raise
            raise ModelError(
                "a constant cannot be computed",
                where=node_label(node),
                why=str(error).strip().split("\n")[0] or type(error).__name__,
            ) from error

    def infer(self, node: ir.Node, *, may_be_empty: bool = False) -> None:
        """Set shape and type of the node's outputs; each must be known in full.

        Raises:
            ModelError: the inputs contradict each other or the op's schema.
            UnsupportedOpError: a shape depends on data, a tensor has over 2^28 elements, or none
                although `may_be_empty` is false.
        """
        if node.op_type in LIKE_FIRST_INPUT:
            first = node.inputs[0]
            assert first is not None
            node.outputs[0].shape, node.outputs[0].type = first.shape, first.type
            check_operands(node)
            return
        for value, found in zip(node.outputs, self._types.of(node), strict=True):
            if not value.name:
                continue
            if found is not None and not found.HasField("tensor_type"):
                raise UnsupportedOpError(
                    f"'{value.name}' is not a tensor",
                    node=str(node.name),
                    op=node.op_type,
                    why="sequences, optionals and maps cannot go to the DSP",
                )
            shape = None if found is None else static_sizes(found)
            if found is not None and found.tensor_type.elem_type:
                value.dtype = ir.DataType(found.tensor_type.elem_type)
            value.shape = ir.Shape(shape) if shape is not None else value.shape
            self._check_shape(node, value, may_be_empty)
        check_operands(node)

    def replace(self, node: ir.Node, values: Sequence[ir.Value | None]) -> None:
        """Let every reader of the node's outputs read `values`; the node is removed.

        The new values take over the old names, unless something outside uses their own.
        """
        for old, new in zip(node.outputs, values, strict=False):
            if new is None:
                continue
            self.transfer_uses(old, new, node)
        self.remove(node)

    def transfer_uses(self, old: ir.Value, new: ir.Value, node: ir.Node) -> None:
        """Give the readers of `old` to `new`, and its name too if `new` was just made."""
        takes_name = new in self._new or old.is_graph_output()
        if old.is_graph_output() and (
            new.is_graph_input() or new.is_initializer() or new.is_graph_output()
        ):
            new = self._identity(new, node)
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        if takes_name:
            new.name = old.name

    def _identity(self, value: ir.Value, node: ir.Node) -> ir.Value:
        """A second name for a value whose own name is part of the model's interface."""
        kept = ir.node("Identity", [value], version=OPSET)
        kept.name = unique_name(f"{node.name}_identity", self.node_names)
        kept.outputs[0].shape, kept.outputs[0].type = value.shape, value.type
        self.graph.insert_before(node, kept)
        return kept.outputs[0]

    def remove(self, node: ir.Node) -> None:
        """Remove a node that nobody reads, and the nodes that were computed only for it."""
        dead = [node]
        while dead:
            removed = dead.pop()
            before = [value.producer() for value in removed.inputs if value is not None]
            self.graph.remove(removed, safe=True)
            for producer in before:
                if producer is None or producer.graph is None or producer in dead:
                    continue
                if not any(v.uses() or v.is_graph_output() for v in producer.outputs):
                    dead.append(producer)

    def _check_shape(self, node: ir.Node, value: ir.Value, may_be_empty: bool) -> None:
        if value.shape is None or not value.shape.is_static() or value.dtype is None:
            raise UnsupportedOpError(
                f"the shape of '{value.name}' is not known before the model runs",
                node=str(node.name),
                op=node.op_type,
                why="it depends on data, and the DSP needs fixed sizes",
                hint="export the model so that no size depends on values, or cut it before this "
                "node and compute that on the CPU (--split auto)",
            )
        sizes = list(value.shape.numpy())
        if any(size < 0 or (size == 0 and not may_be_empty) for size in sizes):
            raise UnsupportedOpError(
                f"'{value.name}' is empty: its shape is {sizes}",
                node=str(node.name),
                op=node.op_type,
                hint="check the input shapes, and kernels larger than their input",
            )
        if prod(sizes) > LARGEST:
            raise UnsupportedOpError(
                f"'{value.name}' of shape {sizes} has 2^28 elements or more",
                node=str(node.name),
                op=node.op_type,
            )

    @cached_property
    def _stored(self) -> int:
        """Elements of the file's constants together."""
        values = self.graph.initializers.values()
        return sum(value.const_value.size for value in values if value.const_value is not None)

    def _check_size(self, node: ir.Node, inputs: Sequence[npt.NDArray[Any] | None]) -> None:
        """Raise for a constant too large to compute; ONNX infers its size only where it could be.

        An op that NumPy computes makes as many elements as its inputs have together, multiplied, at
        most: by broadcasting. A constant may be as large as all that the file has together.
        """
        counts = [max(array.size, 1) for array in inputs if array is not None]
        by_shapes = node.op_type in NUMPY and node.op_type not in SIZED_BY_VALUES
        if by_shapes and prod(counts) <= LARGEST:
            return
        most = max(LARGEST, self._stored)
        for value, found in zip(node.outputs, self._types.of(node), strict=True):
            shape = None if found is None else static_sizes(found)
            if shape is not None and prod(shape) > most:
                raise UnsupportedOpError(
                    f"the constant '{value.name}' would have shape {shape}",
                    node=str(node.name),
                    op=node.op_type,
                    why=f"more than {most} elements",
                )

    def _stem(self) -> str:
        return str(self.before.name) if self.before is not None else "hexconv"


def constant(name: str, array: npt.NDArray[Any]) -> ir.Value:
    """A value with the data of `array`, ready to be registered as an initializer."""
    tensor = ir.Tensor(array, name=name)
    return ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )


def array_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The values of a constant; None for anything else."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def is_row(array: npt.NDArray[Any], columns: int) -> bool:
    """Whether an array holds one number for each of `columns` of the last axis."""
    return array.ndim > 0 and array.size == array.shape[-1] == columns


def row_of(value: ir.Value | None, columns: int) -> npt.NDArray[np.float64] | None:
    """(columns,) of a constant with one number for each column, or one for all; else None."""
    array = array_of(value)
    if array is None or not (array.size == 1 or is_row(array, columns)):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64), (columns,))


def shape_of(value: ir.Value | None) -> tuple[int, ...]:
    """The static shape of a value of a graph in canonical form."""
    assert value is not None and value.shape is not None
    return tuple(value.shape.numpy())


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every kind of float as float32: the canonical form has no other."""
    if array.dtype == np.float32 or array.dtype.kind in "iubSUO":
        return array
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    return array


def _shape_of(node: ir.Node) -> npt.NDArray[Any]:
    sizes = shape_of(node.inputs[0])
    if node.op_type == "Size":
        return np.array(prod(sizes), np.int64)
    start, end = node.attributes.get("start"), node.attributes.get("end")
    window = slice(start.as_int() if start else 0, end.as_int() if end else None)
    return np.array(sizes[window], np.int64)


def _detach(node: ir.Node) -> None:
    for position in range(len(node.inputs)):
        node.replace_input_with(position, None)
