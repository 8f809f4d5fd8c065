"""Helpers for patterns: producers, single readers, scalars, products of factors."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isclose

import onnx_ir as ir

from hexconv.onnx_graph.builder import array_of, shape_of

# Exporters write 0.7071 in any precision down to float16's.
TOLERANCE = 1e-3


def made_by(value: ir.Value | None, *ops: str) -> ir.Node | None:
    """The node of one of `ops` that computes `value`."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in ops and not node.domain else None


def name_of(value: ir.Value | None) -> str:
    """The name of a value that is present."""
    assert value is not None
    return str(value.name)


def scalar(value: ir.Value | None) -> float | None:
    """The value of a constant of one element (or of equal elements)."""
    array = array_of(value)
    if array is None or array.size == 0 or array.dtype.kind != "f":
        return None
    first = float(array.flat[0])
    return first if array.size == 1 or bool((array == array.flat[0]).all()) else None


def near(number: float | None, wanted: float) -> bool:
    """Whether a constant is `wanted`, to the precision that exporters write."""
    return number is not None and isclose(number, wanted, rel_tol=TOLERANCE)


def with_scalar(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The operand and the number of a commutative node of a value and a scalar constant."""
    left, right = node.inputs
    for value, other in ((left, right), (right, left)):
        number = scalar(other)
        if number is not None and value is not None and value.const_value is None:
            return value, number
    return None


def plus(value: ir.Value | None, wanted: float) -> ir.Value | None:
    """x of `x + wanted`."""
    node = made_by(value, "Add")
    found = with_scalar(node) if node is not None else None
    return found[0] if found is not None and near(found[1], wanted) else None


def clip_ends(node: ir.Node) -> tuple[float, float] | None:
    """(min, max) of a Clip, infinite where it has none; None where one is computed."""
    found = [-inf, inf]
    for place, end in enumerate(node.inputs[1:3]):
        array = array_of(end)
        if end is not None and (array is None or array.size != 1):
            return None
        if array is not None:
            found[place] = float(array.item())
    return found[0], found[1]


def reduced_axes(node: ir.Node) -> list[int] | None:
    """The axes of a Reduce node, counted from 0; None where they are computed."""
    rank = len(shape_of(node.inputs[0]))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    array = array_of(given)
    if given is not None and array is None:
        return None
    if array is not None and array.size:
        return sorted({int(axis) % rank for axis in array.reshape(-1)})
    return [] if node.attributes.get_int("noop_with_empty_axes", 0) else list(range(rank))


def read_once(value: ir.Value) -> bool:
    """Whether exactly one input reads the value, and nothing outside does."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def inner(root: ir.Node, leaves: list[ir.Value | None]) -> bool:
    """Whether all between `leaves` and `root` is read only there, so that it can be removed."""
    stops = {id(leaf) for leaf in leaves}
    nodes, pending = {root}, [root]
    while pending:
        for value in pending.pop().inputs:
            node = value.producer() if value is not None else None
            if node is None or id(value) in stops or node in nodes:
                continue
            nodes.add(node)
            pending.append(node)
    return all(
        not value.is_graph_output() and all(use.node in nodes for use in value.uses())
        for node in nodes - {root}
        for value in node.outputs
    )


@dataclass
class MatchedProduct:
    """A value as `coefficient` times `factors`."""

    coefficient: float = 1.0
    factors: list[ir.Value] = field(default_factory=list)

    def other_than(self, value: ir.Value) -> ir.Value | None:
        """The second of two factors, if `value` is the first."""
        if len(self.factors) == 2 and value in self.factors:
            return self.factors[1 - self.factors.index(value)]
        return None


def product(node: ir.Node) -> MatchedProduct:
    """Expand a tree of Mul, and Div by a number; only values that are read once are expanded."""
    result = MatchedProduct()
    _multiply(node, result)
    return result


def product_of(value: ir.Value) -> MatchedProduct:
    """`product` of the node that computes the value; the value alone, if that is no product."""
    node = made_by(value, "Mul", "Div")
    return product(node) if node is not None else MatchedProduct(1.0, [value])


def _multiply(node: ir.Node, result: MatchedProduct) -> None:
    left, right = node.inputs
    if node.op_type == "Div":
        divisor = scalar(right)
        if divisor is None or divisor == 0 or left is None:
            result.factors.append(node.outputs[0])
            return
        result.coefficient /= divisor
        operands = [left]
    else:
        operands = [value for value in (left, right) if value is not None]
    for value in operands:
        number = scalar(value)
        deeper = made_by(value, "Mul", "Div")
        if number is not None:
            result.coefficient *= number
        elif deeper is not None and read_once(value):
            _multiply(deeper, result)
        else:
            result.factors.append(value)
