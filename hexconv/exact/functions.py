"""The functions of an exact model: one for each executed op, and those that they share."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any, TypeVar, cast

import numpy as np
import onnx
from onnx import helper

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.exact import ops
from hexconv.exact.body import OPSET, Body, camel_case
from hexconv.exact.value import Value
from hexconv.nnlib.graph import Node
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.shapes import infer
from hexconv.nnlib.versions import LibraryVersion
from hexconv.registry import Registry

DOMAIN, VERSION = "hexconv.nnlib", 1
"""Of the executed ops. The version grows when an op's inputs, outputs or attributes change."""
SHARED = "hexconv.nnlib.arithmetic"
"""Of the functions that they share."""

Built = list[Value]
AttributeValue = int | Sequence[int] | Sequence[float]
Build = Callable[..., Built]


@dataclass(frozen=True)
class ExactCall:
    """One executed node, as the exact model has to know it.

    Args:
        node: as prepared.
        shapes: of its inputs.
        consts: its inputs that are Const nodes, by position.
        library: "v60", "v65" or "v66".
    """

    node: Node
    shapes: tuple[Shape4, ...]
    consts: Mapping[int, Array]
    library: LibraryVersion

    def const(self, position: int) -> Array:
        """The value of an input that has to be a Const.

        Raises:
            GraphError: it is computed.
        """
        if position not in self.consts:
            raise GraphError(
                f"{self.node.op} with a computed input {position} has no exact function",
                hint="give it as a constant",
            )
        return self.consts[position]

    @property
    def shape(self) -> Shape4:
        """Of the first output, as it follows from the inputs."""
        inputs = range(len(self.shapes))
        consts = [self.consts.get(index) for index in inputs]
        node = self.node
        shapes = infer(node.op, list(self.shapes), consts, node.padding, len(node.outputs))
        return shapes[0]

    def ints(self, position: int) -> list[int]:
        """The same as a list of whole numbers."""
        return [int(value) for value in self.const(position).reshape(-1)]


@dataclass(frozen=True)
class Form:
    """The function that a node calls.

    Args:
        build: makes the body: Values by input in, Values by output out.
        reads: positions of the node's inputs that become inputs of the function.
        attributes: what the node says beside its inputs: an int, or ints.
        suffix: appended to the op's name, where one op has several bodies.
        defaults: consts for inputs that the node leaves away, behind those that it has.
        shape: of the first output, where the catalogue has no rule for it.
    """

    build: Build
    reads: tuple[int, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    suffix: str = ""
    defaults: tuple[Array, ...] = ()
    shape: Shape4 | None = None


@cache
def load_functions() -> None:
    """Import every module of functions; they register themselves."""
    for module in pkgutil.iter_modules(ops.__path__):
        importlib.import_module(f"{ops.__name__}.{module.name}")


EXACT: Registry[Callable[[ExactCall], Form]] = Registry("exact function")
exact = EXACT.register
"""Registers what tells the form of a node, for the executed ops that it names."""


F = TypeVar("F", bound=Callable[..., Any])


def shared(function: F) -> F:
    """A function of Values that is a function of its own in the file, called where it is used."""

    def call(*given: Value) -> Any:
        results = given[0].body.call(function, *given, domain=SHARED)
        return results[0] if len(results) == 1 else tuple(results)

    return cast("F", wraps(function)(call))


@dataclass(frozen=True)
class Operand:
    """An input of a call: its role, its type, and what it is, where that is known."""

    role: str
    dtype: str
    array: Array | None = None


@dataclass(frozen=True)
class Defined:
    """A function, and how one node calls it.

    Args:
        name: of the function.
        reads: positions of the operands that are its first inputs: those that are not known.
        parameters: what its other inputs are for this node.
        outputs: types, and what the outputs are, where that is known.
    """

    name: str
    reads: tuple[int, ...]
    parameters: tuple[Array, ...]
    outputs: tuple[Operand, ...]


class FunctionSet:
    """The functions that a model calls, each defined when it is first called.

    Args:
        library: whose arithmetic they have.
    """

    def __init__(self, library: LibraryVersion) -> None:
        self.library = library
        self.bodies: list[Body] = []
        self._parameters: list[Array] = []
        self._attributes: Mapping[str, AttributeValue] = {}
        self._shared: dict[str, tuple[onnx.FunctionProto, list[str], list[str]]] = {}
        self._ops: dict[str, onnx.FunctionProto] = {}

    @property
    def body(self) -> Body:
        """The body being written, the innermost if it is a branch."""
        return self.bodies[-1]

    def attribute(self, name: str) -> AttributeValue:
        """An attribute of the node that calls the function."""
        return self._attributes[name]

    def parameter(self, value: Value) -> str:
        """Make what is known of one node an input of the function; its name."""
        assert value.array is not None
        self._parameters.append(np.ascontiguousarray(value.array))
        return f"parameter_{len(self._parameters)}"

    def dtypes_of(self, function: Callable[..., Any], given: Sequence[Value]) -> list[str]:
        """Define a shared function; the types of its outputs."""
        name, dtypes = camel_case(function.__name__), [value.dtype for value in given]
        if name not in self._shared:
            names = list(inspect.signature(function).parameters)
            values = [Value(self, n, dtype) for n, dtype in zip(names, dtypes, strict=True)]

            def build(body: Body) -> Built:
                result = function(*values)
                return list(result) if isinstance(result, tuple) else [result]

            nodes, results = self._trace(build)
            proto = _function(SHARED, name, names, nodes, results, [], function.__doc__)
            self._shared[name] = (proto, dtypes, [value.dtype for value in results])
        _, known, found = self._shared[name]
        assert known == dtypes, (name, known, dtypes)
        return found

    def define(self, op: str, operands: Sequence[Operand], form: Form) -> Defined:
        """The function of an op, as one node calls it.

        What follows from constants is computed now, and becomes inputs of the function: its body
        does not depend on the node.
        """
        self._parameters, self._attributes = [], form.attributes
        values = [
            Value(self, "", operand.dtype, operand.array, specific=True)
            if operand.array is not None
            else Value(self, operand.role, operand.dtype)
            for operand in operands
        ]
        known: list[Operand] = []

        def build(body: Body) -> Built:
            results = form.build(body, *values)
            known.extend(Operand("", value.dtype, value.array) for value in results)
            return results

        nodes, results = self._trace(build)
        reads = [i for i, operand in enumerate(operands) if operand.array is None]
        names = [operands[i].role for i in reads]
        names += [f"parameter_{i + 1}" for i in range(len(self._parameters))]
        proto = _function(
            DOMAIN,
            op + form.suffix,
            names,
            nodes,
            results,
            list(form.attributes),
            form.build.__doc__,
        )
        name = self._kept(proto)
        return Defined(name, tuple(reads), tuple(self._parameters), tuple(known))

    def _kept(self, proto: onnx.FunctionProto) -> str:
        """The name of the function; one of another body gets another name."""
        wanted, number = proto.name, 1
        while proto.name in self._ops and self._ops[proto.name] != proto:
            number += 1
            proto.name = f"{wanted}_{number}"
        self._ops[proto.name] = proto
        return str(proto.name)

    def _trace(self, build: Callable[[Body], Built]) -> tuple[list[onnx.NodeProto], Built]:
        """The nodes of a body, and its outputs under names of their own."""
        body = Body(self)
        self.bodies.append(body)
        results = [body.copy(value) for value in build(body)]
        self.bodies.pop()
        return body.nodes, results

    def protos(self) -> list[onnx.FunctionProto]:
        """All of them: those of ops first, by name."""
        shared = {name: proto for name, (proto, _, _) in self._shared.items()}
        return [group[name] for group in (self._ops, shared) for name in sorted(group)]


def _function(
    domain: str,
    name: str,
    inputs: Sequence[str],
    nodes: Sequence[onnx.NodeProto],
    results: Sequence[Value],
    attributes: list[str],
    doc: str | None,
) -> onnx.FunctionProto:
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(SHARED, VERSION)]
    outputs = [value.name for value in results]
    proto = helper.make_function(domain, name, inputs, outputs, nodes, versions, attributes)
    proto.doc_string = inspect.cleandoc(doc or "")
    return proto
