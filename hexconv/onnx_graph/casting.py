"""Convert all floats of a model to float32, and reject non-float data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from hexconv.errors import ModelError, UnsupportedOpError
from hexconv.onnx_graph.bind import example
from hexconv.onnx_graph.selections import LAYOUT
from hexconv.onnx_graph.uses import leads_only_to

MOVES = LAYOUT | {"Slice"}
INTEGERS = {
    ir.DataType.BOOL,
    ir.DataType.INT8,
    ir.DataType.INT16,
    ir.DataType.INT32,
    ir.DataType.INT64,
    ir.DataType.UINT8,
    ir.DataType.UINT16,
    ir.DataType.UINT32,
    ir.DataType.UINT64,
}
KINDS = {kind.value: kind for kind in ir.DataType}
INTEGER_KERNELS: Mapping[str, Sequence[int]] = {
    "QLinearConv": (0,),
    "QLinearMatMul": (0, 3),
    "QLinearAdd": (0, 3),
    "QLinearMul": (0, 3),
    "QLinearAveragePool": (0,),
    "QLinearGlobalAveragePool": (0,),
    "QLinearLeakyRelu": (0,),
    "QLinearSigmoid": (0,),
    "QLinearSoftmax": (0,),
    "QGemm": (0,),
    "QLinearConcat": range(2, 1 << 16, 3),
}
"""Ops that dequantize what they read, and at which inputs."""
ROUNDINGS = {"Ceil", "Floor", "Round"}
OTHER_FLOATS = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}

MOST_CUTS = 4
"""Tensors that a hint lists."""
FLOAT_CODES = {kind.value for kind in (ir.DataType.FLOAT, *OTHER_FLOATS)}


def floats_to_float32(model: ir.Model) -> None:
    """Inputs and initializers of float16, bfloat16 and float64 become float32."""
    for value in model.graph.inputs:
        if value.dtype in OTHER_FLOATS:
            value.dtype = ir.DataType.FLOAT
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None:
                continue
            if tensor.dtype in OTHER_FLOATS:
                with np.errstate(over="ignore"):
                    array = tensor.numpy().astype(np.float32)
                tensor = value.const_value = ir.Tensor(array, name=value.name)
            value.dtype = tensor.dtype
            value.shape = ir.Shape(tensor.shape.numpy())


def integer_data_to_float(model: ir.Model) -> None:
    """Inputs of integers or booleans that are only cast to float become float inputs.

    An image of uint8, say: the DSP quantizes the same numbers.
    """
    for value in model.graph.inputs:
        if value.dtype in INTEGERS and value.uses() and _is_data(value):
            value.dtype = ir.DataType.FLOAT


def integer_outputs_to_float(model: ir.Model) -> tuple[str, ...]:
    """Outputs that a Cast to integers makes become floats, without the rounding in front of it.

    An image of uint8, say: the DSP returns floats, and the application rounds them.

    Returns:
        "'y' is uint8" for each.
    """
    found = []
    for value in model.graph.outputs:
        node = None if value.uses() else _unmoved(value)
        if node is None or node.op_type != "Cast":
            continue
        target = node.attributes.get("to")
        kind = None if target is None else KINDS.get(target.as_int())
        if kind not in INTEGERS or kind == ir.DataType.BOOL:
            continue
        node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT.value)
        node.replace_input_with(0, _before_rounding(node.inputs[0]))
        value.dtype = ir.DataType.FLOAT
        found.append(f"'{value.name}' is {kind.name.lower()}")
    return tuple(found)


def _unmoved(value: ir.Value) -> ir.Node | None:
    """The node that computes a value which is moved into place, for nothing else."""
    node = value.producer()
    while node is not None and not node.domain and node.op_type in MOVES:
        source = node.inputs[0]
        alone = source is not None and len(source.uses()) == 1 and not source.is_graph_output()
        node = source.producer() if alone and source is not None else None
    return None if node is None or node.domain else node


def _before_rounding(value: ir.Value | None) -> ir.Value | None:
    """What a value was before it was rounded, if nothing else reads it."""
    while value is not None and not value.is_graph_output() and len(value.uses()) == 1:
        node = value.producer()
        if node is None or node.domain or node.op_type not in ROUNDINGS:
            break
        value = node.inputs[0]
    return value


def _is_data(value: ir.Value) -> bool:
    """Whether every reader casts a value to float or dequantizes it, perhaps after moving it."""
    return leads_only_to(value, _to_float, _moves)


def _moves(node: ir.Node, position: int) -> bool:
    return not node.domain and position == 0 and node.op_type in MOVES


def _to_float(node: ir.Node, position: int) -> bool:
    if position in INTEGER_KERNELS.get(node.op_type, ()):
        return True
    if node.domain or position != 0:
        return False
    if node.op_type == "DequantizeLinear":
        return True
    target = node.attributes.get("to")
    return node.op_type == "Cast" and target is not None and target.as_int() in FLOAT_CODES


def drop_unused_inputs(model: ir.Model, in_file: Collection[str]) -> tuple[str, ...]:
    """Remove unused inputs that are not float; raise for those that are read.

    Args:
        model: all types known; it is changed.
        in_file: names of tensors that a user knows.

    Raises:
        ModelError: an input of integers, strings or booleans is read.
    """
    if (read := integer_inputs(model, in_file)) is not None:
        raise read
    dropped = [value for value in model.graph.inputs if value.dtype != ir.DataType.FLOAT]
    for value in dropped:
        model.graph.inputs.remove(value)
    return tuple(str(value.name) for value in dropped)


def integer_inputs(model: ir.Model, in_file: Collection[str] = ()) -> ModelError | None:
    """The error of inputs that are not float and that are read; None where there are none.

    It names the first one, what all of them could be bound to, and the tensors of the file that
    could be inputs in their place.
    """
    read = [
        value
        for value in model.graph.inputs
        if value.dtype != ir.DataType.FLOAT and (value.uses() or value.is_graph_output())
    ]
    if not read:
        return None
    first = read[0]
    kind = "no tensor" if first.dtype is None else str(first.dtype.name).lower()
    bindable = [value for value in read if value.dtype in INTEGERS]
    bound = " ".join(_bound(value) for value in bindable)
    return ModelError(
        f"input '{first.name}' is {kind}, and the model's result depends on it",
        where=_readers(first),
        why="the DSP reads float tensors, which it quantizes to 8 bits",
        hint=(f"bind it: {bound}; or " if bound else "")
        + _where_to_cut(_first_floats(read), in_file),
    )


def _where_to_cut(floats: Sequence[ir.Value], in_file: Collection[str]) -> str:
    names = [str(value.name) for value in floats]
    if not names or len(names) > MOST_CUTS or not set(names) <= set(in_file):
        return (
            "cut the model where its data is float: for token ids, name the tensor after the "
            "embedding (--inputs)"
        )
    return f"cut the model where its data is float: --inputs {','.join(names)}"


def _first_floats(values: Sequence[ir.Value]) -> list[ir.Value]:
    """The float tensors that are computed from these of other types, through none that is float.

    There are none where an output of the model is reached before.
    """
    pending, seen, found = list(values), set(values), dict[ir.Value, None]()
    for current in pending:  # it grows
        if current.is_graph_output():
            return []
        for use in current.uses():
            for value in use.node.outputs:
                if value.dtype == ir.DataType.FLOAT:
                    found[value] = None
                elif value not in seen:
                    seen.add(value)
                    pending.append(value)
    return list(found)


def _bound(value: ir.Value) -> str:
    shape = [] if value.shape is None else list(value.shape)
    return example(str(value.name), shape, truth=value.dtype == ir.DataType.BOOL)


def narrow_floats(model: ir.Model) -> list[UnsupportedOpError]:
    """The nodes that compute floats of 8 bits or fewer, which nothing turns into float32."""
    return [
        UnsupportedOpError(
            f"'{value.name}' is of type {value.dtype.name.lower()}",
            node=str(node.name),
            op=node.op_type,
            why="it rounds more coarsely than the DSP's 8 bits, and saturates where they do not",
            hint="export the model without this cast, or with a cast to float16 or bfloat16",
        )
        for node in model.graph
        for value in node.outputs
        if value.dtype is not None
        and value.dtype.is_floating_point()
        and value.dtype.itemsize <= 1
        and value.name
    ]


def check_weights(model: ir.Model, label: str) -> None:
    """Raise for weights that are NaN or infinite, with the tensor's name and their number."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            continue
        array = tensor.numpy()
        # one pass: a sum is finite if all terms are (overflow only costs the precise count)
        with np.errstate(all="ignore"):
            if np.isfinite(array.sum()):
                continue
        nans = int(np.isnan(array).sum())
        infinities = int(np.isinf(array).sum())
        if nans or infinities:
            raise ModelError(
                f"tensor '{value.name}' contains {nans} NaN and {infinities} infinite values "
                f"of {array.size}",
                where=label,
                why="a range that is not finite cannot be quantized",
                hint="train or export again; in an attention mask write -10000 instead of -inf",
            )


def _readers(value: ir.Value) -> str:
    names = [f"'{node.name}' ({node.op_type})" for node, _ in list(value.uses())[:3]]
    return "read by " + ", ".join(names) if names else "it is an output"
