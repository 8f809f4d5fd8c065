"""If: the branch that a constant condition takes, or both of them and a Where.

The DSP runs a fixed list of nodes. Branches have no side effects, so where data decide, both are
computed and one result is selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from hexconv.errors import UnsupportedOpError
from hexconv.onnx_graph.bodies import body_of, invalid, lifted
from hexconv.onnx_graph.builder import OPSET, FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import detach_bodies

NAMES = ("then_branch", "else_branch")
_IF = "hexconv.if"


def inlined(node: ir.Node, builder: FloatBuilder) -> list[ir.Node]:
    """The nodes that compute what an If returns, moved outside; the If is removed.

    Raises:
        ModelError: a branch is invalid.
    """
    condition = array_of(node.inputs[0])
    if condition is not None and condition.size == 1:
        nodes, results = _moved(node, NAMES[0] if condition.item() else NAMES[1], builder)
    else:
        nodes, results = _both(node, builder)
    builder.at(node)
    for old, new in zip(node.outputs, results, strict=True):
        builder.transfer_uses(old, new, node)
    builder.remove(node)
    detach_bodies(node)
    return nodes


def _both(node: ir.Node, builder: FloatBuilder) -> tuple[list[ir.Node], list[ir.Value]]:
    """Both branches, and a Where for each output."""
    condition = node.inputs[0]
    assert condition is not None
    shape = shape_of(condition)
    if prod(shape) != 1:
        why = f"its condition has shape {list(shape)}: one boolean decides an If"
        raise invalid(node, why)
    if shape:
        condition = builder.at(node).op("Reshape", [condition, np.zeros(0, np.int64)])
    then, taken = _moved(node, NAMES[0], builder)
    other, not_taken = _moved(node, NAMES[1], builder)
    selects = []
    for old, one, two in zip(node.outputs, taken, not_taken, strict=True):
        select = ir.node("Where", [condition, one, two], version=OPSET)
        select.name = builder.fresh_node(str(node.name))
        select.outputs[0].name = builder.fresh(f"{old.name}_selected")
        select.meta[_IF] = str(node.name), len(then), len(other)
        selects.append(select)
    builder.graph.insert_before(node, selects)
    return [*then, *other, *selects], [select.outputs[0] for select in selects]


def check_branches(select: ir.Node) -> None:
    """Raise for a Where of an If whose branches return tensors of other shapes, which broadcast.

    Raises:
        UnsupportedOpError: they do.
    """
    if _IF not in select.meta:
        return
    name = select.meta[_IF][0]
    one, two = (shape_of(value) for value in select.inputs[1:] if value is not None)
    if one != two:
        raise UnsupportedOpError(
            f"If returns tensors of shape {list(one)} and {list(two)}",
            node=name,
            op="If",
            why="which one is decided while the model runs: the DSP runs a fixed list of nodes",
            hint="export the model without control flow (fixed sizes, unrolled loops), or cut it "
            "there (--split)",
        )


def decided_at_run_time(graph: ir.Graph) -> tuple[str, ...]:
    """What an If costs whose branches are both computed: one sentence for each."""
    found = dict.fromkeys(node.meta[_IF] for node in graph if _IF in node.meta)
    return tuple(
        f"node '{name}' (If) is decided while the model runs: both branches are computed "
        f"({then} and {other} ONNX nodes), and one result is selected"
        for name, then, other in found
    )


def _moved(
    node: ir.Node, branch: str, builder: FloatBuilder
) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes of a branch, moved in front of the If, and what they return."""
    inner = body_of(node, branch)
    outputs = list(inner.outputs)
    _check_outputs(node, branch, outputs)
    return lifted(inner, node, builder), outputs


def _check_outputs(node: ir.Node, branch: str, outputs: Sequence[ir.Value]) -> None:
    why = ""
    if len(outputs) != len(node.outputs):
        why = f"its {branch} has {len(outputs)} outputs, the node has {len(node.outputs)}"
    elif len(set(outputs)) != len(outputs) or not all(
        value is not None and (value.producer() or value.is_initializer()) for value in outputs
    ):
        why = f"each output of its {branch} has to be of a node of its own"
    if why:
        raise invalid(node, why)
