"""Ops whose outputs are elements of their first input, moved, repeated or left out."""

from __future__ import annotations

from collections.abc import Iterator, Set

import onnx_ir as ir

LAYOUT = frozenset(("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
"""Those that only move: each element once."""

SELECTIONS = LAYOUT | {
    "DepthToSpace",
    "Expand",
    "Gather",
    "MaxPool",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Tile",
}


def moved_from(value: ir.Value | None, ops: Set[str] = LAYOUT) -> Iterator[ir.Value]:
    """A value, then what each of the `ops` in front of it moves; the last is of another node."""
    while value is not None:
        yield value
        node = value.producer()
        moved = node is not None and node.op_type in ops and not node.domain
        value = node.inputs[0] if node is not None and moved else None
