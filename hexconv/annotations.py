"""What rewrites record about a node of the float graph, and lowerings read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from hexconv.quantize import Bounds
from hexconv.settings import UNROLLED

KEY = "hexconv"
"""Key in a node's meta."""


@dataclass(frozen=True)
class Annotations:
    """Annotations of one node.

    Attributes:
        saturates: (low, high) of a Relu or Clip that the end of the node's range replaces: the
            range of its result must not extend beyond them, whatever it is tied to.
        time_on_w: the second last axis is laid out along W, the last along H.
        in_order: of a Split: the axes are brought into ONNX order first. Otherwise parts split in
            another layout would each be transposed separately.
        own_range: a PReLU may derive its output range from its input's.
        in_own_range: whether the results of a Sigmoid or Tanh have a range of their own, by a
            table, though they are not small.
        grid_zero: of x - mean(x) and of that mean: the zero point of the result. They are computed
            from the levels that x has in each run, so that nothing but the mean is rounded.
        float_reason: why the node is computed in float; empty where it is not.
        onnx_op: the ONNX op of a node that was given one of hexconv's own ops.
        most_steps: of an LSTM, GRU or RNN: steps, over all directions, up to which it is unrolled.
        in_step: of what an unrolled recurrent node computes in each step: its place there, and the
            number of the step.
        functions: of a Lookup: the functions that it applies one after the other.
    """

    saturates: Bounds | None = None
    time_on_w: bool = False
    in_order: bool = False
    own_range: bool = False
    in_own_range: bool = False
    grid_zero: int | None = None
    float_reason: str = ""
    onnx_op: str = ""
    most_steps: int = UNROLLED
    in_step: tuple[str, int] | None = None
    functions: Any = None


NO_NOTES = Annotations()


def notes_of(node: ir.Node) -> Annotations:
    """The annotations of a node."""
    found: Annotations = node.meta.get(KEY, NO_NOTES)
    return found


def annotate(node: ir.Node, **notes: Any) -> None:
    """Change annotations of a node, by the names of `Annotations`."""
    node.meta[KEY] = replace(notes_of(node), **notes)


def transfer_notes(node: ir.Node, target: ir.Node) -> None:
    """Copy the annotations of a node to its replacement."""
    if KEY in node.meta:
        target.meta[KEY] = node.meta[KEY]
