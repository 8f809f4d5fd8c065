"""Output shapes of an nnlib op, from its inputs' shapes and the values of its Const inputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import spec
from hexconv.nnlib.shapes import compute, move  # noqa: F401  (they register their rules)
from hexconv.nnlib.shapes.view import RULES, View, broadcast, window

__all__ = ["SCALAR", "broadcast", "infer", "window"]

SCALAR: Shape4 = (1, 1, 1, 1)
LIMIT = 2**31  # the library counts elements and bytes in 32 bits


def infer(
    op: str,
    input_shapes: Sequence[Shape4],
    input_consts: Sequence[Array | None] = (),
    padding: Padding = Padding.NA,
    n_outputs: int = 3,
) -> list[Shape4]:
    """The shapes of a node's outputs, in order of its ports.

    Args:
        op: op name.
        input_shapes: B, H, W, D of each input.
        input_consts: the value of each input that is a Const, None for the others; those whose
            values the shape does not depend on may be None too.
        padding: the node's padding.
        n_outputs: how many outputs the node declares; used only for Split.

    Raises:
        GraphError: the op is unknown, or the library would not accept these shapes.
    """
    known = spec(op)
    rule = RULES.get(known.form_of or op)
    if rule is None:
        raise GraphError(f"no shape rule for {op}")
    consts = tuple(input_consts) or (None,) * len(input_shapes)
    shape = rule(View(known, input_shapes, consts, padding, n_outputs))
    if min(shape) < 1:
        raise GraphError(f"an output would have the shape {list(shape)}, which is empty")
    if prod(shape) >= LIMIT:
        raise GraphError(f"an output would have the shape {list(shape)}: 2^31 elements or more")
    return [SCALAR if operand.scalar else shape for operand in known.results(n_outputs)]
