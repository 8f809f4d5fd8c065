"""Tensors of a function body, and arithmetic on them.

`a * b + 1` appends nodes to the body that is being written and gives the Value of the last.
Numbers take the type of the Value that they meet, so that every rounding is visible: what is
float32 in the library is float32 here, operation by operation. What is known when the body is
written is computed then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from onnx import helper

from hexconv.arrays import Array
from hexconv.nnlib.versions import LibraryVersion

Number = int | float | np.generic
Branch = Callable[["Scope"], "list[Value]"]


class Scope(Protocol):
    """The body that is being written: see `body.Body`."""

    @property
    def library(self) -> LibraryVersion:
        """Whose arithmetic it is."""

    def op(self, kind: str, *inputs: Value, dtype: str = "", **given: Any) -> Value:
        """Append a node with one output, by default of the type of its first input."""

    def call(self, function: Callable[..., Any], *inputs: Value, domain: str) -> list[Value]:
        """Append a call of another function of the file."""

    def constant(self, value: Any, dtype: str) -> Value:
        """What is the same for all nodes that call the function."""

    def given(self, value: Any, dtype: str) -> Value:
        """What is known of this node."""

    def like(self, value: Value | Number, other: Value) -> Value:
        """A number as a constant of the other's type; a Value as it is."""

    def ints(self, values: Sequence[int | Value] | Attribute) -> Value:
        """A list of int64: of numbers and Values, or an attribute of the function."""

    def floats(self, attribute: Attribute) -> Value:
        """A list of float32 that is an attribute of the function."""

    def scalar(self, value: Value | Number, dtype: str) -> Value:
        """A number or a Value of one element, without axes."""

    def concat(self, parts: Sequence[Value], axis: int | Attribute) -> Value:
        """Joined along an axis."""

    def choose(self, condition: Value, then: Branch, otherwise: Branch) -> list[Value]:
        """The outputs of one branch, of which only that one is computed."""

    def repeat(
        self, start: Sequence[Value], step: Callable[[list[Value]], tuple[Value, list[Value]]]
    ) -> list[Value]:
        """Values changed by `step` for as long as the condition that it gives first holds."""


class Tracing(Protocol):
    """The functions that are being written."""

    @property
    def body(self) -> Scope:
        """The body being written, the innermost if it is a branch."""


class Attribute:
    """A reference to an attribute of the function, where a node takes one of its own.

    Args:
        name: of the function's attribute.
        kind: "ints", "int" or "floats".
    """

    def __init__(self, name: str, kind: str = "ints") -> None:
        self.name, self.kind = name, kind


class Value:
    """A tensor in a body.

    Args:
        functions: that are being traced.
        name: its ONNX name; "" where it has none yet.
        dtype: a NumPy name.
        array: what it is, where that is known when the body is written.
        specific: whether that holds for one node, and not for all that call the function.
    """

    __slots__ = ("array", "dtype", "functions", "name", "specific")

    def __init__(
        self,
        functions: Tracing,
        name: str,
        dtype: str,
        array: Array | None = None,
        *,
        specific: bool = False,
    ) -> None:
        self.functions, self.name, self.dtype = functions, name, dtype
        self.array, self.specific = array, specific

    @property
    def body(self) -> Scope:
        """Where what is made of it goes: a branch sees the Values of what it is in."""
        return self.functions.body

    def _with(self, kind: str, other: Value | Number, *, flipped: bool = False) -> Value:
        value = self.body.like(other, self)
        pair = (value, self) if flipped else (self, value)
        return self.body.op(kind, *pair)

    def _compare(self, kind: str, other: Value | Number) -> Value:
        return self.body.op(kind, self, self.body.like(other, self), dtype="bool")

    def __add__(self, other: Value | Number) -> Value:
        return self._with("Add", other)

    def __radd__(self, other: Number) -> Value:
        return self._with("Add", other, flipped=True)

    def __sub__(self, other: Value | Number) -> Value:
        return self._with("Sub", other)

    def __rsub__(self, other: Number) -> Value:
        return self._with("Sub", other, flipped=True)

    def __mul__(self, other: Value | Number) -> Value:
        return self._with("Mul", other)

    def __rmul__(self, other: Number) -> Value:
        return self._with("Mul", other, flipped=True)

    def __truediv__(self, other: Value | Number) -> Value:
        """Of integers: cut towards zero."""
        return self._with("Div", other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._with("Div", other, flipped=True)

    def __mod__(self, other: Value | Number) -> Value:
        """Of integers, with the sign of the divisor, as in Python."""
        return self._with("Mod", other)

    def __neg__(self) -> Value:
        return self.body.op("Neg", self)

    def __lt__(self, other: Value | Number) -> Value:
        return self._compare("Less", other)

    def __le__(self, other: Value | Number) -> Value:
        return self._compare("LessOrEqual", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._compare("Greater", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._compare("GreaterOrEqual", other)

    def equal(self, other: Value | Number) -> Value:
        """Element by element."""
        return self._compare("Equal", other)

    def __and__(self, other: Value) -> Value:
        return self.body.op("And", self, other)

    def __or__(self, other: Value) -> Value:
        return self.body.op("Or", self, other)

    def __invert__(self) -> Value:
        return self.body.op("Not", self)

    def to(self, dtype: str) -> Value:
        """Cast; floats to integers are cut towards zero."""
        if dtype == self.dtype:
            return self
        return self.body.op("Cast", self, dtype=dtype, to=onnx_type(dtype))

    def abs(self) -> Value:
        """Absolute values."""
        return self.body.op("Abs", self)

    def floor(self) -> Value:
        """Of floats."""
        return self.body.op("Floor", self)

    def clip(self, low: Value | Number, high: Value | Number) -> Value:
        """Held in low..high."""
        ends = (self.body.like(low, self), self.body.like(high, self))
        return self.body.op("Clip", self, *ends)

    def reshape(self, shape: Sequence[int | Value] | Attribute) -> Value:
        """In another shape, row-major; -1 and 0 as Reshape takes them."""
        return self.body.op("Reshape", self, self.body.ints(shape))

    def transpose(self, perm: Sequence[int] | Attribute) -> Value:
        """Axes in another order."""
        return self.body.op("Transpose", self, perm=perm)

    def gather(self, index: Value, axis: int | Attribute = 0) -> Value:
        """Slices of self along an axis."""
        return self.body.op("Gather", self, index, axis=axis)

    def slice(self, start: int | Value, stop: int | Value, axis: int | Value) -> Value:
        """start:stop along one axis."""
        given = [self.body.ints([part]) for part in (start, stop, axis)]
        return self.body.op("Slice", self, *given)

    def reduce(self, kind: str, axes: Sequence[int] | None = None) -> Value:
        """Min, Max over axes, all of them by default, which are kept as 1."""
        given: dict[str, Any] = {} if axes is None else {"axes": list(axes)}
        return self.body.op(f"Reduce{kind}", self, keepdims=1, **given)

    def sum(self, axes: Sequence[int] | Attribute | None = None) -> Value:
        """Over axes, all of them by default, which are kept as 1."""
        given = [] if axes is None else [self.body.ints(axes)]
        return self.body.op("ReduceSum", self, *given, keepdims=1)

    def pad(self, rows: Sequence[int | Value] | Attribute, value: Value | Number) -> Value:
        """With a border; `rows` are all widths before, then all behind."""
        return self.body.op("Pad", self, self.body.ints(rows), self.body.scalar(value, self.dtype))

    def flat(self) -> Value:
        """As one axis."""
        return self.reshape([-1])

    def shape(self) -> Value:
        """Its sizes, int64."""
        return self.body.op("Shape", self, dtype="int64")


def onnx_type(dtype: str) -> int:
    """The number that ONNX has for a NumPy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def where(condition: Value, then: Value | Number, otherwise: Value | Number) -> Value:
    """One of two, element by element; at least one is a Value."""
    known = then if isinstance(then, Value) else otherwise
    assert isinstance(known, Value)
    body = condition.body
    pair = (body.like(then, known), body.like(otherwise, known))
    return body.op("Where", condition, *pair, dtype=known.dtype)


def smaller(first: Value | Number, second: Value) -> Value:
    """Python's min(first, second) of two scalars: the first where neither is smaller."""
    return where(second < first, second, first)


def larger(first: Value | Number, second: Value) -> Value:
    """Python's max(first, second) of two scalars."""
    return where(second > first, second, first)


def maximum(first: Value, *others: Value | Number) -> Value:
    """The largest of several, not of bytes."""
    return first.body.op("Max", first, *(first.body.like(other, first) for other in others))


def minimum(first: Value, *others: Value | Number) -> Value:
    """The smallest of several, not of bytes."""
    return first.body.op("Min", first, *(first.body.like(other, first) for other in others))


def table(body: Scope, values: Array) -> Value:
    """A constant array of its own type."""
    return body.constant(values, values.dtype.name)
