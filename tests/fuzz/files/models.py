"""Damage to ONNX models that still parse: attributes, constants, shapes, types, wiring."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from tests.fuzz.files.damage import FLOATS, NUMBERS, NUMBERS_BEYOND

LONG = (*NUMBERS, *NUMBERS_BEYOND[:2], -2, -3, 3, 4, 5, 7)
SIZES = (0, -1, 1, 2, 3, 7, 2**16, 2**31 - 1, 2**31, 2**40, 2**62)
DTYPES = tuple(v for k, v in TensorProto.DataType.items() if k != "UNDEFINED")


def spoiled(model: onnx.ModelProto, random: Random) -> None:
    """Break one or a few things of a model, in place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(CHANGES)(model, random)


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """All nodes, those of subgraphs and functions included."""
    found: list[onnx.NodeProto] = []
    waiting = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += [inner for attr in node.attribute for inner in attr.g.node]
    return found


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    found = [attr for node in _nodes(model) for attr in node.attribute]
    if not found:
        return
    attr = random.choice(found)
    if attr.type == AttributeProto.INT:
        attr.i = random.choice(LONG)
    elif attr.type == AttributeProto.INTS:
        _list(attr.ints, LONG, random)
    elif attr.type == AttributeProto.FLOAT:
        attr.f = random.choice(FLOATS)
    elif attr.type == AttributeProto.FLOATS:
        _list(attr.floats, FLOATS, random)
    elif attr.type == AttributeProto.STRING:
        attr.s = random.choice((b"", b"x", b"\xff", b"SAME_UPPER", b"linear", attr.s + b"s"))
    else:
        attr.type = random.choice(list(AttributeProto.AttributeType.values()))


def _list(items: Any, values: tuple[Any, ...], random: Random) -> None:
    if len(items) and random.random() < 0.7:
        items[random.randrange(len(items))] = random.choice(values)
    elif random.random() < 0.5 and len(items):
        del items[-1]
    else:
        items.append(random.choice(values))


def _new_attribute(model: onnx.ModelProto, random: Random) -> None:
    """One that the op knows, at a value of chance; or a stranger."""
    node = random.choice(_nodes(model) or [onnx.NodeProto()])
    try:
        names = list(onnx.defs.get_schema(node.op_type).attributes)
    except onnx.defs.SchemaError:
        names = []
    name = random.choice([*names, "axis", "stranger"])
    value: Any = random.choice(
        (random.choice(LONG), [random.choice(LONG) for _ in range(random.randrange(5))], 1.5, "x")
    )
    if value != []:
        node.attribute.append(helper.make_attribute(name, value))


def _drop_attribute(model: onnx.ModelProto, random: Random) -> None:
    nodes = [node for node in _nodes(model) if node.attribute]
    if nodes:
        node = random.choice(nodes)
        del node.attribute[random.randrange(len(node.attribute))]


def _constant(model: onnx.ModelProto, random: Random) -> None:
    """Another value, shape or type in an initializer or a Constant."""
    found = [*model.graph.initializer]
    found += [a.t for n in _nodes(model) for a in n.attribute if a.type == AttributeProto.TENSOR]
    if not found:
        return
    tensor = random.choice(found)
    kind = random.randrange(4)
    if kind == 0:
        tensor.data_type = random.choice((*DTYPES, 0, 99, -1))
    elif kind == 1:
        _list(tensor.dims, LONG, random)
    elif kind == 2:
        tensor.ClearField("raw_data")
    else:
        _set_values(tensor, random)


def _set_values(tensor: TensorProto, random: Random) -> None:
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:
        return
    if not array.size or array.dtype.kind not in "iuf":
        return
    flat = array.reshape(-1)
    for _ in range(random.choice((1, 1, flat.size))):
        value = random.choice(FLOATS if array.dtype.kind == "f" else LONG)
        if array.dtype.kind != "f":
            limits = np.iinfo(array.dtype)
            value = max(limits.min, min(limits.max, int(value)))
        with np.errstate(all="ignore"):
            flat[random.randrange(flat.size)] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _as_constant(model: onnx.ModelProto, random: Random) -> None:
    """An input becomes an initializer of small values."""
    if not model.graph.input:
        return
    info = random.choice(model.graph.input)
    shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    if np.prod(shape, dtype=object) > 10_000 or any(size < 0 for size in shape):
        return
    try:
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        array = np.array(random.randrange(-3, 6)).astype(dtype)
        filled = np.full(shape, array)
        model.graph.initializer.append(numpy_helper.from_array(filled, info.name))
    except Exception:
        return


def _shape(model: onnx.ModelProto, random: Random) -> None:
    infos = [*model.graph.input, *model.graph.input, *model.graph.output, *model.graph.value_info]
    if not infos:
        return
    kind = random.choice(infos).type.tensor_type
    what = random.randrange(5)
    if what == 0:
        kind.elem_type = random.choice((*DTYPES, 0, 99))
    elif what == 1 and kind.shape.dim:
        del kind.shape.dim[-1]
    elif what == 2:
        kind.shape.dim.add().dim_value = random.choice((1, 2, 0, -1, 2**31, 2**40))
    elif what == 3:
        kind.ClearField("shape")
    elif kind.shape.dim:
        dim = random.choice(kind.shape.dim)
        if random.random() < 0.2:
            dim.dim_param = random.choice(("n", "", "\x1b[0m"))
        else:
            dim.dim_value = random.choice(SIZES)


def _wire(model: onnx.ModelProto, random: Random) -> None:
    """An input or output of a node comes from elsewhere, goes missing, or is one more."""
    nodes = _nodes(model)
    if not nodes:
        return
    node = random.choice(nodes)
    names = [name for other in nodes for name in (*other.input, *other.output)]
    names += [info.name for info in (*model.graph.input, *model.graph.output)] + ["", "ghost"]
    side = random.choice((node.input, node.input, node.output))
    what = random.randrange(4)
    if what == 0 and side:
        del side[-1]
    elif what == 1:
        side.append(random.choice(names))
    elif side:
        side[random.randrange(len(side))] = random.choice(names)


def _op(model: onnx.ModelProto, random: Random) -> None:
    node = random.choice(_nodes(model) or [onnx.NodeProto()])
    schemas = onnx.defs.get_all_schemas()
    same = [s.name for s in schemas if s.min_input <= len(node.input) <= s.max_input]
    node.op_type = random.choice(same or ["If"])
    if random.random() < 0.1:
        node.domain = random.choice(("", "com.microsoft", "ai.onnx.ml", "x"))


def _drop(model: onnx.ModelProto, random: Random) -> None:
    lists = [model.graph.node, model.graph.initializer, model.graph.input, model.graph.output]
    items = random.choice([found for found in lists if found] or [None])
    if items is not None:
        del items[random.randrange(len(items))]


def _twice(model: onnx.ModelProto, random: Random) -> None:
    lists = [model.graph.node, model.graph.initializer, model.graph.input, model.graph.output]
    items: Any = random.choice([found for found in lists if found] or [None])
    if items is not None:
        items.add().CopyFrom(random.choice(items))


def _opset(model: onnx.ModelProto, random: Random) -> None:
    if model.opset_import:
        random.choice(model.opset_import).version = random.choice((*range(1, 28), 0, -1, 2**40))


def _calls_itself(model: onnx.ModelProto, random: Random) -> None:
    """A function in terms of itself, or of one that calls it."""
    if not model.graph.node:
        return
    node = random.choice(model.graph.node)
    node.domain, kind = "own", node.op_type
    imports = [*model.opset_import, helper.make_opsetid("own", 1)]
    inner = helper.make_node(random.choice((kind, "Relu")), ["a"], ["b"], domain="own")
    body = helper.make_function("own", kind, ["a"], ["b"], [inner], imports)
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("own", 1))


def _branch(model: onnx.ModelProto, random: Random) -> None:
    """A node becomes an If whose branches do not fit it."""
    if not model.graph.node:
        return
    node = random.choice(model.graph.node)
    inner = onnx.GraphProto(name="b")
    inner.node.add().CopyFrom(node)
    for name in list(node.output)[: random.randrange(3)]:
        inner.output.add().name = name
    outputs = list(node.output)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "taken"))
    node.CopyFrom(helper.make_node("If", ["taken"], outputs, name=node.name))
    for name in ("then_branch", "else_branch")[: random.randrange(3)]:
        node.attribute.append(helper.make_attribute(name, inner))


def _outside(model: onnx.ModelProto, random: Random) -> None:
    """A tensor whose data is said to be in another file."""
    found = [*model.graph.initializer]
    found += [a.t for n in _nodes(model) for a in n.attribute if a.type == AttributeProto.TENSOR]
    if not found:
        return
    tensor = random.choice(found)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ("m.onnx", "../m.onnx", "/etc/passwd", "gone", "x" * 5000, "", ".", "a\0b", "m\udc80")
    values = {
        "location": random.choice(places).encode("utf-8", "replace").decode(),
        "offset": str(random.choice((*LONG, "x"))),
        "length": str(random.choice((*LONG, "x"))),
    }
    for key, value in values.items():
        if random.random() < 0.8:
            tensor.external_data.add(key=key, value=value)


CHANGES: tuple[Callable[[onnx.ModelProto, Random], None], ...] = (
    *(_attribute, _attribute, _attribute, _new_attribute, _drop_attribute),
    *(_constant, _constant, _constant, _as_constant, _as_constant),
    *(_shape, _shape, _shape, _wire, _wire, _wire, _op, _op),
    *(_drop, _twice, _opset, _calls_itself, _branch, _outside),
)
