"""Function bodies in ONNX: nodes, constants, branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper

from hexconv.exact.eager import EAGER, evaluate
from hexconv.exact.value import Attribute, Branch, Number, Value, onnx_type
from hexconv.nnlib.versions import LibraryVersion

OPSET = 17


class Functions(Protocol):
    """What bodies are written for, and where the functions that they call are defined."""

    library: LibraryVersion
    bodies: list[Body]
    """Those being written, the innermost last: nodes are appended to that one."""

    @property
    def body(self) -> Body:
        """The innermost."""

    def dtypes_of(self, function: Callable[..., Any], given: Sequence[Value]) -> list[str]:
        """Define the function; the types of its outputs."""

    def attribute(self, name: str) -> int | Sequence[int] | Sequence[float]:
        """An attribute of the node that calls the function."""

    def parameter(self, value: Value) -> str:
        """Make what is known of one node an input of the function; its name."""


class Body:
    """The nodes of a function, or of a branch of one.

    Args:
        functions: the set that it belongs to.
        parent: the body that a branch is in.
    """

    def __init__(self, functions: Functions, parent: Body | None = None) -> None:
        self.functions = functions
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._counter: list[int] = [0] if parent is None else parent._counter

    @property
    def library(self) -> LibraryVersion:
        """Whose arithmetic it is: "v60", "v65" or "v66"."""
        return self.functions.library

    def name(self, kind: str) -> str:
        """A new name."""
        self._counter[0] += 1
        return f"{kind.lower()}_{self._counter[0]}"

    def op(self, kind: str, *inputs: Value, dtype: str = "", **given: Any) -> Value:
        """Append a node with one output, by default of the type of its first input.

        Where all inputs are known, so is the output, and there is no node.
        """
        kept = dtype or inputs[0].dtype
        arrays = [value.array for value in inputs if value.array is not None]
        plain = not any(isinstance(item, Attribute) for item in given.values())
        if len(arrays) == len(inputs) and plain and kind in EAGER:
            array = evaluate(kind, arrays, kept, given)
            specific = any(value.specific for value in inputs)
            return Value(self.functions, "", kept, array, specific=specific)
        out = self.name(kind)
        self.append(kind, inputs, [out], "", given)
        return Value(self.functions, out, kept)

    def append(
        self,
        kind: str,
        inputs: Sequence[Value],
        outputs: Sequence[str],
        domain: str,
        given: dict[str, Any],
    ) -> None:
        """Append a node."""
        plain = {name: item for name, item in given.items() if not isinstance(item, Attribute)}
        names = [self.name_of(value) for value in inputs]
        node = helper.make_node(kind, names, list(outputs), domain=domain, **plain)
        for name, item in given.items():
            if isinstance(item, Attribute):
                node.attribute.append(_reference(name, item))
        self.nodes.append(node)

    def call(self, function: Callable[..., Any], *inputs: Value, domain: str) -> list[Value]:
        """Append a call of another function of the file."""
        if all(value.array is not None for value in inputs):
            known = function(*inputs)
            return list(known) if isinstance(known, tuple) else [known]
        dtypes = self.functions.dtypes_of(function, inputs)
        kind = camel_case(function.__name__)
        names = [self.name(kind) for _ in dtypes]
        self.append(kind, inputs, names, domain, {})
        pairs = zip(names, dtypes, strict=True)
        return [Value(self.functions, name, dtype) for name, dtype in pairs]

    def name_of(self, value: Value) -> str:
        """The name of a Value in this body; what is known becomes a constant or a parameter."""
        if value.array is None:
            return value.name
        if value.specific:
            if not value.name:
                value.name = self.functions.parameter(value)
            return value.name
        array = value.array
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.name("constant")
            tensor = numpy_helper.from_array(array, "")
            node = helper.make_node("Constant", [], [self._constants[key]], value=tensor)
            self.nodes.append(node)
        return self._constants[key]

    def constant(self, value: Any, dtype: str) -> Value:
        """What is the same for all nodes that call the function."""
        return Value(self.functions, "", dtype, np.asarray(value, dtype))

    def given(self, value: Any, dtype: str) -> Value:
        """What is known of this node."""
        return Value(self.functions, "", dtype, np.asarray(value, dtype), specific=True)

    def like(self, value: Value | Number, other: Value) -> Value:
        """A number as a constant of the other's type; a Value as it is."""
        if isinstance(value, Value):
            assert value.dtype == other.dtype, (value.name, value.dtype, other.dtype)
            return value
        return self.constant(value, other.dtype)

    def ints(self, values: Sequence[int | Value] | Attribute) -> Value:
        """A list of int64: of numbers and Values, or an attribute of the function."""
        if isinstance(values, Attribute):
            return self.given(self.functions.attribute(values.name), "int64")
        if any(isinstance(value, Value) for value in values):
            parts = [
                v.to("int64").flat() if isinstance(v, Value) else self.constant([v], "int64")
                for v in values
            ]
            return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)
        return self.constant(list(values), "int64")

    def floats(self, attribute: Attribute) -> Value:
        """A list of float32 that is an attribute of the function."""
        return self.given(self.functions.attribute(attribute.name), "float32")

    def copy(self, value: Value) -> Value:
        """The same under a name of its own."""
        out = self.name("result")
        self.append("Identity", [value], [out], "", {})
        return Value(self.functions, out, value.dtype)

    def scalar(self, value: Value | Number, dtype: str) -> Value:
        """A number or a Value of one element, without axes."""
        if isinstance(value, Value):
            return value.reshape([]).to(dtype)
        return self.constant(value, dtype)

    def concat(self, parts: Sequence[Value], axis: int | Attribute) -> Value:
        """Joined along an axis."""
        return self.op("Concat", *parts, axis=axis)

    def choose(self, condition: Value, then: Branch, otherwise: Branch) -> list[Value]:
        """The outputs of one branch, of which only that one is computed."""
        if condition.array is not None:
            return (then if condition.array.all() else otherwise)(self)
        graphs, dtypes = [], []
        for make in (then, otherwise):
            with self._inner() as inner:
                values = make(inner)
                graphs.append(_subgraph(self.name("branch"), inner, [], values))
                dtypes = [value.dtype for value in values]
        names = [self.name("chosen") for _ in dtypes]
        given = {"then_branch": graphs[0], "else_branch": graphs[1]}
        self.append("If", [self.scalar(condition, "bool")], names, "", given)
        return [Value(self.functions, n, dtype) for n, dtype in zip(names, dtypes, strict=True)]

    def repeat(
        self, start: Sequence[Value], step: Callable[[list[Value]], tuple[Value, list[Value]]]
    ) -> list[Value]:
        """Values changed by `step` for as long as the condition that it gives first holds."""
        with self._inner() as inner:
            carried = [Value(self.functions, inner.name("carried"), v.dtype) for v in start]
            again, changed = step(carried)
            ends = [
                helper.make_tensor_value_info(inner.name("count"), onnx.TensorProto.INT64, []),
                helper.make_tensor_value_info(inner.name("go"), onnx.TensorProto.BOOL, []),
                *(_info(value) for value in carried),
            ]
            results = [inner.scalar(again, "bool"), *changed]
            graph = _subgraph(self.name("loop"), inner, ends, results)
        names = [self.name("repeated") for _ in start]
        inputs = [Value(self.functions, "", "int64"), self.constant(True, "bool"), *start]
        self.append("Loop", inputs, names, "", {"body": graph})
        return [
            Value(self.functions, name, value.dtype)
            for name, value in zip(names, start, strict=True)
        ]

    @contextmanager
    def _inner(self) -> Iterator[Body]:
        inner = Body(self.functions, self)
        self.functions.bodies.append(inner)
        try:
            yield inner
        finally:
            self.functions.bodies.pop()


def _reference(name: str, attribute: Attribute) -> AttributeProto:
    kind = AttributeProto.AttributeType.Value(attribute.kind.upper())
    return AttributeProto(name=name, ref_attr_name=attribute.name, type=kind)


def _info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, onnx_type(value.dtype), None)


def _subgraph(
    name: str, body: Body, inputs: list[onnx.ValueInfoProto], outputs: list[Value]
) -> onnx.GraphProto:
    """Outputs get a node of their own: a branch may hand on what is made outside of it."""
    own = [body.copy(value) for value in outputs]
    return helper.make_graph(body.nodes, name, inputs, [_info(value) for value in own])


def camel_case(name: str) -> str:
    """step_and_zero: StepAndZero."""
    return "".join(part.capitalize() for part in name.strip("_").split("_"))
