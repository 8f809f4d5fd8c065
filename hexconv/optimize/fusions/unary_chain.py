"""Consecutive functions of one variable are one function of one variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.lowering.lookup import Function, logistic
from hexconv.lowering.unary import PLAIN, WITH_ATTRIBUTES, function_of
from hexconv.onnx_graph import FloatGraph, NodeView
from hexconv.onnx_graph.builder import array_of
from hexconv.optimize.fusions.edit import insert_custom_op, only_reader, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

Values = npt.NDArray[np.float64]
# These have their own nodes in the library; they join a chain, but do not start one.
NATIVE: dict[str, Function] = {
    "Relu": lambda x: np.maximum(x, 0.0),
    "Sigmoid": logistic,
    "Tanh": np.tanh,
    "Sqrt": np.sqrt,
}
WITH_CONSTANT: dict[str, Callable[[Values, float], Values]] = {
    "Add": lambda x, c: x + c,
    "Sub": lambda x, c: x - c,
    "Mul": lambda x, c: x * c,
    "Div": lambda x, c: x / c,
    "Pow": lambda x, c: np.power(x, c),
}
SWAPPED: dict[str, Callable[[Values, float], Values]] = {
    "Add": lambda x, c: x + c,
    "Sub": lambda x, c: c - x,
    "Mul": lambda x, c: x * c,
    "Div": lambda x, c: c / x,
}


@rewrite(Stage.FUSION)
def unary_chain(graph: FloatGraph, observed: Mapping[str, Bounds]) -> int:
    """A run of functions of one variable, with constants added and multiplied, is one table."""
    count = 0
    for node in graph.nodes:
        if node.graph is None or _step(node) is None or _behind_another(node):
            continue
        chain = _chain(node)
        if len(chain) < 2 or not _worth_it(chain):
            continue
        functions = tuple(function for _, function in chain)
        nodes = [member for member, _ in chain]
        source = _source(nodes[0])
        last = nodes[-1]
        insert_custom_op("Lookup", last, [source], last.outputs[0], functions=composed(functions))
        remove(*reversed(nodes))
        count += 1
    return count


def composed(functions: tuple[Function, ...]) -> Function:
    """One function that applies them in order."""
    return lambda x: reduce(lambda value, function: function(value), functions, x)


def _chain(node: ir.Node) -> list[tuple[ir.Node, Function]]:
    chain: list[tuple[ir.Node, Function]] = []
    current: ir.Node | None = node
    while current is not None:
        function = _step(current)
        if function is None:
            break
        chain.append((current, function))
        current = only_reader(current.outputs[0])
    return chain


def _worth_it(chain: list[tuple[ir.Node, Function]]) -> bool:
    """A table costs 2.9 packets an element, a native node 0.1: only if one needs a table anyway."""
    return any(member.op_type in PLAIN or member.op_type in WITH_ATTRIBUTES for member, _ in chain)


def _behind_another(node: ir.Node) -> bool:
    source = _source(node)
    producer = source.producer() if source is not None else None
    return (
        producer is not None
        and _step(producer) is not None
        and (only_reader(producer.outputs[0]) is node)
    )


def _source(node: ir.Node) -> ir.Value | None:
    return next((value for value in node.inputs if value and array_of(value) is None), None)


def _step(node: ir.Node) -> Function | None:
    """The function of one variable that a node computes; None if it is not one."""
    function = _plain_step(node)
    limits = notes_of(node).saturates
    if function is None or limits is None:
        return function
    low, high = limits
    return composed((function, lambda x: np.clip(x, low, high)))


def _plain_step(node: ir.Node) -> Function | None:
    if node.domain not in ("", "com.microsoft"):
        return None
    if node.op_type in NATIVE:
        return NATIVE[node.op_type]
    if node.op_type in PLAIN or node.op_type in WITH_ATTRIBUTES:
        return function_of(NodeView(node))
    if node.op_type not in WITH_CONSTANT or len(node.inputs) != 2:
        return None
    left, right = (array_of(value) for value in node.inputs)
    shape = node.outputs[0].shape
    if right is not None and _uniform(right) and _shape(node, 0) == shape:
        return _bound_to(WITH_CONSTANT[node.op_type], right)
    if left is not None and _uniform(left) and _shape(node, 1) == shape:
        swapped = SWAPPED.get(node.op_type)
        return None if swapped is None else _bound_to(swapped, left)
    return None


def _shape(node: ir.Node, position: int) -> Any:
    value = node.inputs[position]
    return None if value is None else value.shape


def _uniform(array: npt.NDArray[Any]) -> bool:
    return bool(array.size) and bool((array == array.reshape(-1)[0]).all())


def _bound_to(step: Callable[[Values, float], Values], array: npt.NDArray[Any]) -> Function:
    constant = float(array.reshape(-1)[0])
    return lambda x: step(x, constant)
