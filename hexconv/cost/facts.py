"""The properties of an executed node that determine its cost: sizes and small integer consts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Const, Graph, Node, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.ops import catalogue
from hexconv.nnlib.shapes import window

_FLOAT = 5
"""Bytes per element at the model's interface: one uint8, and the float beside it."""

FEW = 8
"""Integer consts up to this many values are parameters (axes, permutations, pads), not data."""


@dataclass(frozen=True)
class Facts:
    """One executed node.

    Args:
        op: as it is executed.
        inputs: BHWD sizes of its tensors, in the op's order; ranges and parameters are left out.
        outputs: BHWD sizes of its data outputs.
        ints: small integer consts by role; of one whose shape alone is read, that shape.
        padding: of a window.
        moved: bytes that it reads and writes.
    """

    op: str
    inputs: tuple[Shape4, ...]
    outputs: tuple[Shape4, ...]
    ints: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    padding: Padding = Padding.NA
    moved: int = 0

    @property
    def first(self) -> Shape4:
        """Sizes of the first input, or of the output where the node reads nothing."""
        return self.inputs[0] if self.inputs else self.out

    @property
    def out(self) -> Shape4:
        """Sizes of the first output, or of the first input where the node has no output."""
        return self.outputs[0] if self.outputs else self.inputs[0]


class Reader:
    """Reads the facts of a graph's nodes."""

    def __init__(self, graph: Graph) -> None:
        self._consts = graph.const_by_id()
        self._outputs = {node.id: node.outputs for node in graph.nodes}

    def facts(self, node: Node) -> Facts:
        """The facts of one node."""
        inputs: list[Shape4] = []
        ints: dict[str, tuple[int, ...]] = {}
        moved = 0
        for role, ref in zip(_roles(node.op, len(node.inputs)), node.inputs, strict=True):
            const = self._consts.get(ref.node)
            if const is not None and _is_parameter(const, role):
                ints[role] = _parameter(const, role)
                continue
            tensor = self._tensor(ref, const)
            if not _is_scalar(tensor):
                inputs.append(tensor.shape)
                moved += tensor.nbytes
        outside = node.op in (INPUT_OP, OUTPUT_OP)
        data = [out for out in node.outputs if not _is_scalar(out)] or list(node.outputs[:1])
        facts = Facts(
            op=node.op,
            inputs=tuple(inputs),
            outputs=tuple(out.shape for out in data),
            ints=ints,
            padding=node.padding,
            moved=(moved + sum(out.nbytes for out in data)) * (_FLOAT if outside else 1),
        )
        return with_real_output(facts)

    def _tensor(self, ref: Ref, const: Const | None) -> Output:
        if const is None:
            return self._outputs[ref.node][ref.port]
        b, h, w, d = const.array.shape
        return Output((b, h, w, d), const.array.dtype.name)


def with_real_output(facts: Facts) -> Facts:
    """The facts of a convolution with the sizes that it computes, where it declares larger ones.

    prepare declares the bytes of the input supernode's output, not its sizes.
    """
    weights = facts.inputs[1] if len(facts.inputs) > 1 else None
    if weights is None or "upernode" not in facts.op or facts.padding is Padding.NA:
        return facts
    _, sh, sw, _ = facts.ints.get("stride", (1, 1, 1, 1))
    kh, kw, depth, count = weights
    b, h, w, _ = facts.first
    real: Shape4 = (
        b,
        window(h, kh, sh, facts.padding),
        window(w, kw, sw, facts.padding),
        depth * count if facts.op.startswith("Depthwise") else count,
    )
    return replace(facts, outputs=(real,))


SHAPE_ROLES = ("stride", "window")
"""Roles of consts whose shape is their value (docs/nnlib/quirks.md#conventions)."""

DATA_ROLES = ("bias", "index", "data", "a", "b")


@lru_cache(maxsize=1024)
def _roles(op: str, count: int) -> Sequence[str]:
    """The role of each input; by position where the catalogue has none."""
    known = catalogue().get(op)
    roles = known.roles(count) if known is not None else ()
    if len(roles) != count:
        return [f"input{i}" for i in range(count)]
    return [operand.role for operand in roles]


def _is_parameter(const: Const, role: str) -> bool:
    """Whether a const is a parameter of the node rather than data."""
    few = const.array.dtype.kind == "i" and const.array.size <= FEW
    return const.shape_only or role in SHAPE_ROLES or (few and role not in DATA_ROLES)


def _parameter(const: Const, role: str) -> tuple[int, ...]:
    if const.shape_only or role in SHAPE_ROLES:
        return tuple(int(size) for size in const.array.shape)
    return tuple(int(value) for value in const.array.reshape(-1))


def _is_scalar(tensor: Output) -> bool:
    """Whether it is a range, an epsilon, a limit."""
    return tensor.shape == (1, 1, 1, 1) and tensor.dtype == "float32"
