"""Which minimum and maximum belong to which data, among a node's inputs and outputs."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hexconv.nnlib.graph import Node, Ref
from hexconv.nnlib.ops import Operand, OpSpec, spec

PREFIX = {"data": "", "table": "", "weights": "w_"}
"""What the names of the minimum and maximum begin with, where not with the role and `_`."""


@dataclass(frozen=True)
class RangedOperand:
    """Positions of quantized data, and of the minimum and maximum that give it a meaning."""

    data: int
    low: int
    high: int
    role: str = "data"


@functools.cache
def ranged_inputs(op: str, count: int) -> tuple[RangedOperand, ...]:
    """The quantized operands of a node with `count` inputs."""
    known = spec(op)
    return _ranged(known, known.roles(count))


@functools.cache
def ranged_outputs(op: str, count: int) -> tuple[RangedOperand, ...]:
    """The quantized results of a node with `count` outputs."""
    known = spec(op)
    return _ranged(known, known.results(count))


def own_limits(node: Node, port: int) -> tuple[Ref, Ref]:
    """The minimum and maximum that a node returns for the quantized data of a port."""
    results = ranged_outputs(node.op, len(node.outputs))
    found = next(item for item in results if item.data == port)
    return Ref(node.id, found.low), Ref(node.id, found.high)


def _ranged(known: OpSpec, operands: tuple[Operand, ...]) -> tuple[RangedOperand, ...]:
    places: dict[str, list[int]] = {}
    for position, operand in enumerate(operands):
        places.setdefault(operand.role, []).append(position)
    found = []
    for role, positions in places.items():
        prefix = PREFIX.get(role, f"{role}_")
        lows, highs = places.get(f"{prefix}min"), places.get(f"{prefix}max")
        if lows is None or highs is None or role in (f"{prefix}min", f"{prefix}max"):
            continue
        # Split's parts share one minimum and maximum.
        shared = len(lows) == 1
        found += [
            RangedOperand(data, lows[0 if shared else i], highs[0 if shared else i], role)
            for i, data in enumerate(positions)
        ]
    return tuple(found)
