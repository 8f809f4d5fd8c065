"""Appends consts and nodes to an nnlib graph: ids, names, shared consts, min/max pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from math import isfinite
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import PastFloat32Error
from hexconv.names import TakenNames, unique_name
from hexconv.nnlib.graph import Const, Graph, Node, Origin, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.quantize import Range, run_time_ranges

FLOAT32_MAX = 3.4028235e38
SCALAR: Shape4 = (1, 1, 1, 1)
RANGE_OUTPUTS = (Output(SCALAR, "float32"), Output(SCALAR, "float32"))


class RangeSource(IntEnum):
    """Where the range of a tensor comes from, the surest first."""

    STATIC = 0  # as requested
    DERIVED = 1  # from its input's: fixed, but known here only to a step
    RUN_TIME = 2  # found in each run: the model's inputs, what copies their range, some means


@dataclass(frozen=True)
class Tensor:
    """A quantized tensor in the graph under construction: data, min, max, and its properties.

    `range` is the range of its quantized values, as far as `source` lets it be known. int32
    accumulators have dtype int32. Where `widest` is given, no run has a range within `range`, nor
    one beyond `widest` unless an input is louder than calibration's (lowering/mean_of_run.py).
    """

    data: Ref
    min: Ref
    max: Ref
    shape: Shape4
    range: Range
    source: RangeSource = RangeSource.STATIC
    dtype: str = "uint8"
    widest: Range | None = None

    @property
    def static(self) -> bool:
        """Whether `range` is what the library gives it, exactly and in each run."""
        return self.source is RangeSource.STATIC

    @property
    def data_min_max(self) -> tuple[Ref, Ref, Ref]:
        """(data, min, max), the order of most ops' first inputs."""
        return self.data, self.min, self.max


def ranges_of(tensor: Tensor) -> tuple[Range, ...]:
    """The ranges in which a tensor may come."""
    if tensor.source is RangeSource.RUN_TIME:
        return run_time_ranges(tensor.widest or tensor.range)
    return (tensor.range,)


class Builder:
    """Collects consts and nodes of a graph: a new one, or one that is being rewritten.

    Ids are the builder's own until the graph is numbered as MACE numbers it. In a new graph small
    consts of equal type, bytes and meaning are stored once; a rewrite shares only float scalars
    and strides among the consts that it adds.

    Args:
        name: of the graph.
        original: names of the model's own values.
    """

    def __init__(self, name: str = "model", original: frozenset[str] = frozenset()) -> None:
        self.graph = Graph(name)
        self.original = original
        self.onnx_node = ""
        """The ONNX node being lowered; new nodes record it."""
        self._rewrites = False
        self._next = 1
        self._names = TakenNames()
        self._shared: dict[tuple[object, ...], Ref] = {}
        self._consts: dict[int, Const] = {}
        self._nodes: dict[int, Node] = {}
        self._index: dict[int, int] = {}

    @classmethod
    def on(cls, graph: Graph) -> Builder:
        """A builder of the additions of a rewrite to an existing graph."""
        builder = cls(graph.name)
        builder.graph = graph
        builder._rewrites = True
        builder._consts = graph.const_by_id()
        builder._nodes = graph.node_by_id()
        builder._next = 1 + max([*builder._consts, *builder._nodes], default=0)
        builder._names = TakenNames(const.name for const in graph.consts)
        builder._names.update(node.name for node in graph.nodes)
        return builder

    # -- queries ----------------------------------------------------------------------------

    def values(self, ref: Ref) -> Array | None:
        """The values of a const; None for a node's output."""
        const = self._consts.get(ref.node)
        return None if const is None else const.array

    def const_at(self, ref: Ref) -> Const:
        """A const of the graph."""
        return self._consts[ref.node]

    def shape(self, ref: Ref) -> Shape4:
        """B, H, W, D of a tensor."""
        const = self._consts.get(ref.node)
        if const is not None:
            b, h, w, d = const.array.shape
            return b, h, w, d
        return self._nodes[ref.node].outputs[ref.port].shape

    def unique(self, name: str) -> str:
        """A name that no const or node has yet."""
        return unique_name(name, self._names)

    # -- consts -----------------------------------------------------------------------------

    def const(
        self,
        name: str,
        array: Array,
        value_range: Range | None = None,
        *,
        shape_only: bool = False,
        exact: Array | None = None,
    ) -> Ref:
        """A const of rank at most 4 (padded to 4 on the left).

        Args:
            name: its name if it is new.
            array: its values.
            span: the range of quantized values.
            shape_only: whether the library reads only its shape.
            exact: what quantized values were rounded from, if that is needed later.
        """
        array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        key = self._sharing_key(array, value_range, shape_only)
        if key is None or key not in self._shared:
            limits = (
                None
                if value_range is None
                else (_float32(value_range.min), _float32(value_range.max))
            )
            const = Const(self._new_id(), self.unique(name), array, shape_only, limits, exact)
            self.graph.consts.append(const)
            self._consts[const.id] = const
            if key is None:
                return Ref(const.id)
            self._shared[key] = Ref(const.id)
        return self._shared[key]

    def _sharing_key(
        self, array: Array, value_range: Range | None, shape_only: bool
    ) -> tuple[object, ...] | None:
        """The key that equal consts share; None for one that is never shared.

        Large consts are weights, which a refinement may change for each reader: equal ones are
        shared at the end (nnlib/shared_consts.py).
        """
        if shape_only:
            return ("shape", array.dtype.str, array.shape)
        scalar = array.shape == SCALAR and array.dtype == np.float32
        small = scalar if self._rewrites else array.nbytes <= _SHARE_LIMIT
        return (array.dtype.str, array.shape, array.tobytes(), value_range) if small else None

    def ints(self, name: str, values: Sequence[int] | Array) -> Ref:
        """An int32 const; a flat sequence is laid out along D."""
        return self.const(name, np.asarray(values, np.int32))

    def extent(self, name: str, height: int, width: int) -> Ref:
        """A stride or window const: only its shape [1,h,w,1] is read."""
        return self.const(name, np.zeros((1, height, width, 1), np.int32), shape_only=True)

    def scalar(self, name: str, value: float) -> Ref:
        """A float32 const of shape 1x1x1x1.

        Raises:
            PastFloat32Error: the value is finite, and past float32.
        """
        if abs(value) > FLOAT32_MAX and isfinite(value):
            raise PastFloat32Error(
                f"{value:g} is past the largest float32",
                where=f"constant '{name}'",
                hint="scale the model's weights or inputs down",
            )
        return self.const(name, np.full(SCALAR, value, np.float32))

    def minmax(self, tensor: str, value_range: Range) -> tuple[Ref, Ref]:
        """The min and max consts of a tensor, named as MACE names them."""
        return self.scalar(f"{tensor}_min", value_range.min), self.scalar(
            f"{tensor}_max", value_range.max
        )

    def floored(self, refs: tuple[Ref, Ref, Ref], floor: Range, name: str) -> tuple[Ref, ...]:
        """What a Select_8 reads to give a tensor a range that never is within `floor`.

        Its output has the union of the ranges of both its operands: here of the tensor, which it
        takes everywhere, and of a constant. Where the tensor reaches further its codes stay.

        Args:
            refs: data, min and max.
            floor: the least range.
            name: of what reads it.
        """
        ones = self.const(f"{name}/everywhere", np.ones(self.shape(refs[0]), np.uint8))
        return ones, *refs, ones, *self.minmax(f"{name}/floor", floor)

    # -- nodes ------------------------------------------------------------------------------

    def number(self, op: str, left: Ref, right: Ref, name: str) -> Ref:
        """One number that a float op computes of two in each run."""
        return Ref(self.node(op, [left, right], [Output(SCALAR, "float32")], name=name))

    def new_node(
        self,
        op: str,
        inputs: Sequence[Ref],
        outputs: Sequence[Output],
        *,
        name: str,
        padding: Padding = Padding.NA,
        origin: Origin | None = None,
        keeps_range: bool = False,
        made_for: Range | None = None,
        onnx_node: str | None = None,
    ) -> Node:
        """A node for a rewrite to insert: it is not in the graph yet."""
        node = Node(
            id=self._new_id(),
            name=self.unique(name),
            op=op,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            padding=padding,
            onnx_node=self.onnx_node if onnx_node is None else onnx_node,
            origin=origin,
            keeps_range=keeps_range,
            made_for=None if made_for is None else (made_for.min, made_for.max),
        )
        self._nodes[node.id] = node
        return node

    def copy(self, node: Node, *, name: str | None = None, **changes: Any) -> Node:
        """A copy of the node under a new id, with other fields; not in the graph yet."""
        named = node.name if name is None else self.unique(name)
        copied = replace(node, id=self._new_id(), name=named, **changes)
        self._nodes[copied.id] = copied
        return copied

    def node(
        self,
        op: str,
        inputs: Sequence[Ref],
        outputs: Sequence[Output],
        *,
        name: str,
        padding: Padding = Padding.NA,
        origin: Origin | None = None,
        keeps_range: bool = False,
        made_for: Range | None = None,
    ) -> int:
        """Append one op node; returns its id."""
        node = self.new_node(
            op,
            inputs,
            outputs,
            name=name,
            padding=padding,
            origin=origin,
            keeps_range=keeps_range,
            made_for=made_for,
        )
        self._index[node.id] = len(self.graph.nodes)
        self.graph.nodes.append(node)
        return node.id

    def quantized(
        self,
        op: str,
        inputs: Sequence[Ref],
        shape: Shape4,
        value_range: Range,
        *,
        name: str,
        dtype: str = "uint8",
        source: RangeSource = RangeSource.STATIC,
        padding: Padding = Padding.NA,
        keeps_range: bool = False,
    ) -> Tensor:
        """Append a node that returns (data, min, max) and describe its output.

        Args:
            op: nnlib op name.
            inputs: in the library's order.
            shape: BHWD of the data output.
            value_range: the range of the output's quantized values.
            name: the tensor that it computes.
            dtype: of the data output.
            source: how far the range is known.
            padding: of the node.
            keeps_range: whether it cannot return values in a narrower range.
        """
        node = self.node(
            op,
            inputs,
            (Output(shape, dtype), *RANGE_OUTPUTS),
            name=name,
            padding=padding,
            keeps_range=keeps_range,
        )
        return Tensor(Ref(node), Ref(node, 1), Ref(node, 2), shape, value_range, source, dtype)

    def mark_origin(self, tensor: Tensor, origin: Origin) -> None:
        """Record that a node's output 0 is an ONNX tensor: for layer-wise checks and reports.

        The first name stays, but one that hexconv made up is replaced by one of the model's own. A
        tensor that reads the node's values in another range is not the node's tensor.
        """
        index = self._index.get(tensor.data.node)
        if index is None or tensor.data.port != 0 or tensor.min.node != tensor.data.node:
            return
        node = self.graph.nodes[index]
        known = node.origin
        made_up = known is not None and known.tensor not in self.original
        if known is None or (made_up and origin.tensor in self.original):
            self.graph.nodes[index] = replace(node, origin=origin)

    def mark_saturating(self, tensor: Tensor, limits: tuple[float, float]) -> None:
        """Say that a node's output 0 must not leave `limits`: an activation is gone for it."""
        index = self._index.get(tensor.data.node)
        if index is not None and tensor.data.port == 0:
            self.graph.nodes[index] = replace(self.graph.nodes[index], saturates=limits)

    def mark_by_levels(self, tensor: Tensor) -> None:
        """Say that a node reads quantized values in another range than a run gives them."""
        index = self._index[tensor.data.node]
        self.graph.nodes[index] = replace(self.graph.nodes[index], by_levels=True)

    def finish(self) -> Graph:
        """The graph, numbered as MACE numbers it."""
        return self.graph.renumbered()

    def _new_id(self) -> int:
        self._next += 1
        return self._next - 1


_SHARE_LIMIT = 4096
"""Maximum size in bytes of consts that are shared in a new graph."""


def _float32(value: float) -> float:
    """As a protobuf's float field returns it."""
    return float(np.float32(value))
