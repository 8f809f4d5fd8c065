"""Sums of an activation and a number, in the steps of the activation.

Most values of a Relu or HardSwish are 0 or near it, and a number that is added moves all of them.
In a range of its own the sum has other steps: what is near 0 is rounded by the same amount, or in
proportion to its size, and a convolution or mean adds that up. With the activation's steps, of
which the number is a whole count, the sum is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor

import onnx_ir as ir

from hexconv.annotations import notes_of
from hexconv.onnx_graph import NodeView
from hexconv.onnx_graph.rewrites.match import scalar, with_scalar
from hexconv.quantize import Bounds, Range
from hexconv.quantize.ranges import LEVELS

RESTS = frozenset(("Relu", "HardSwish", "ThresholdedRelu"))
"""Ops that return 0 for a large part of their inputs."""
MOST = 1.35
"""By how much the range of the activation may grow: what that costs is less than what a second
rounding does."""


def on_resting(
    nodes: Iterable[NodeView], ranges: Mapping[str, Range], observed: Mapping[str, Bounds]
) -> Mapping[str, Bounds]:
    """The observed ranges, those of such activations and sums changed.

    Args:
        nodes: the float graph's nodes in order.
        ranges: of all values, as they were solved.
        observed: (min, max) of each computed value.

    Returns:
        `observed` itself where there is no such sum.
    """
    found: dict[str, Bounds] = {}
    for node in nodes:
        operands = _added(node.node)
        if operands is not None:
            found |= _in_steps(node.outputs[0], *operands, ranges, observed)
    return {**observed, **found} if found else observed


def _in_steps(
    total: str,
    value: ir.Value,
    number: float,
    start: ir.Value,
    ranges: Mapping[str, Range],
    observed: Mapping[str, Bounds],
) -> dict[str, Bounds]:
    """The ranges of an activation and of its sum with a number; none where they would not do."""
    own, name = ranges[str(value.name)], str(start.name)
    low, high = min(own.min + number, 0.0), max(own.max + number, 0.0)
    least = max(own.step, (high - low) / LEVELS)
    whole = floor(abs(number) / least + 1e-3)
    step = abs(number) / max(whole, 1)
    if not whole or step > MOST * own.step or not {total, name} <= observed.keys():
        return {}
    begun, wider = ranges[name], step / own.step
    end = own.min * wider + number
    end = max(end, -LEVELS * step) if end <= 0.0 else 0.0
    return {
        name: (begun.min * wider, begun.max * wider),
        total: (end, end + LEVELS * step),
    }


def _added(node: ir.Node) -> tuple[ir.Value, float, ir.Value] | None:
    """x, d and the activation that x is a multiple of, in x + d and x - (-d)."""
    found = _with_number(node)
    if found is None:
        return None
    start = found[0]
    while (producer := start.producer()) is not None and producer.op_type == "Rescale":
        assert producer.inputs[0] is not None
        start = producer.inputs[0]
    return (*found, start) if producer is not None and _rests(producer) else None


def _with_number(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The operand and the number that is added to it."""
    if node.domain or node.op_type not in ("Add", "Sub"):
        return None
    if node.op_type == "Add":
        return with_scalar(node)
    value, number = node.inputs[0], scalar(node.inputs[1])
    return None if value is None or number is None else (value, -number)


def _rests(node: ir.Node) -> bool:
    """Whether a large part of what a node returns is 0."""
    limits = notes_of(node).saturates
    return node.op_type in RESTS or (limits is not None and limits[0] == 0.0)
