"""One lowering per ONNX op, registered by a decorator; registering an op twice is an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hexconv.lowering.context import Context
from hexconv.onnx_graph import NodeView
from hexconv.registry import Registry


class Tie(Enum):
    """How the range of an op's output depends on those of its inputs."""

    FREE = "its own, requested"
    COPY = "the first input's"
    JOIN = "one for all inputs and the output, where nothing else reads the inputs"
    PICK = "its own, which is enough for inputs that nothing else reads"
    CLIP = "the first input's where that is hardly wider than its own"


Function = Callable[[NodeView, Context], None]


@dataclass(frozen=True)
class Lowering:
    """One ONNX op: the function that emits its nodes, and its range's tie.

    `integers`: it returns integers, as the values of a range of scale 1, or raises for them itself.
    """

    op: str
    function: Function
    tie: Tie
    integers: bool = False


LOWERINGS: Registry[Lowering] = Registry("lowering")


def lowers(
    *ops: str, tie: Tie = Tie.FREE, integers: bool = False
) -> Callable[[Function], Function]:
    """Register a function that lowers the ONNX `ops`."""

    def register(function: Function) -> Function:
        for op in ops:
            LOWERINGS.add(op, Lowering(op, function, tie, integers))
        return function

    return register
