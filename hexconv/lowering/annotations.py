"""What rewrites note on a node of the float graph, and lowerings read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from hexconv.quantize import Bounds

KEY = "hexconv"
"""Of a node's meta."""


@dataclass(frozen=True)
class Annotations:
    """Notes on one node.

    Attributes:
        saturates: (low, high) of a Relu or Clip that the end of the node's range stands for: the
            range of its result may hold nothing outside of them, whatever it is tied to.
        time_on_w: the second last axis is laid out along W, the last along H.
        in_order: of a Split: the axes are brought into ONNX order first. Parts that are cut in
            another layout would each be moved on their own.
        own_range: a PReLU may take its output range from its input's.
        float_reason: why the node is computed in float; empty where it is not.
        onnx_op: the ONNX op of a node that has got an op of hexconv's own.
        functions: of a Lookup: the functions that it applies one after the other.
    """

    saturates: Bounds | None = None
    time_on_w: bool = False
    in_order: bool = False
    own_range: bool = False
    float_reason: str = ""
    onnx_op: str = ""
    functions: Any = None


NO_NOTES = Annotations()


def notes_of(node: ir.Node) -> Annotations:
    """The notes on a node."""
    found: Annotations = node.meta.get(KEY, NO_NOTES)
    return found


def annotate(node: ir.Node, **notes: Any) -> None:
    """Change notes on a node, by the names of `Annotations`."""
    node.meta[KEY] = replace(notes_of(node), **notes)


def transfer_notes(node: ir.Node, target: ir.Node) -> None:
    """Give the notes on a node to the one that takes its place."""
    if KEY in node.meta:
        target.meta[KEY] = node.meta[KEY]
