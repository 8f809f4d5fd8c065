"""Appends consts and nodes to an nnlib graph: ids, names, shared consts, min/max pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hexconv.nnlib.graph import Array, Const, Graph, Node, Origin, Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.quantize import Range

SCALAR: Shape4 = (1, 1, 1, 1)
MINMAX = (Output(SCALAR, "float32"), Output(SCALAR, "float32"))


@dataclass(frozen=True)
class Tensor:
    """A quantized tensor in the graph under construction: data, min, max, and what is known of it.

    `range` is what its codes mean; `static` is False where the library finds the range at run time
    (the model's inputs, and what copies their range). int32 accumulators have dtype int32.
    """

    data: Ref
    min: Ref
    max: Ref
    shape: Shape4
    range: Range
    static: bool = True
    dtype: str = "uint8"

    @property
    def triple(self) -> tuple[Ref, Ref, Ref]:
        """(data, min, max), the order of most ops' first inputs."""
        return self.data, self.min, self.max


class Builder:
    """Collects consts and nodes; consts of equal name, type and bytes are stored once.

    While it builds, consts have negative ids and nodes positive ones; `finish` numbers them as
    MACE does.

    Args:
        name: of the graph.
        original: names of the model's own values.
    """

    def __init__(self, name: str, original: frozenset[str] = frozenset()) -> None:
        self.graph = Graph(name)
        self.original = original
        self._consts: dict[tuple[object, ...], Ref] = {}
        self._names: set[str] = set()
        self.onnx_node = ""
        """The ONNX node being lowered; new nodes remember it."""

    def const(
        self, name: str, array: Array, span: Range | None = None, *, shape_only: bool = False
    ) -> Ref:
        """A const of rank at most 4 (padded to 4 on the left), shared with an equal one.

        Args:
            name: what it is called if it is new.
            array: its values.
            span: what quantized codes mean.
            shape_only: whether the library reads its shape alone.
        """
        array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        content: object = array.shape if shape_only else _content(array)
        key = (shape_only, array.dtype.str, array.shape, content, span)
        # Only small consts are shared across names: hashing weights would cost more than it saves.
        if key not in self._consts:
            ref = Ref(-1 - len(self.graph.consts))
            limits = None if span is None else (_float32(span.min), _float32(span.max))
            self.graph.consts.append(
                Const(ref.node, self._unique(name), array, shape_only, limits)
            )
            if content is None:
                return ref
            self._consts[key] = ref
        return self._consts[key]

    def ints(self, name: str, values: Sequence[int] | Array) -> Ref:
        """An int32 const; a flat sequence lies along D."""
        return self.const(name, np.asarray(values, np.int32))

    def extent(self, name: str, height: int, width: int) -> Ref:
        """A stride or window const: its shape [1,h,w,1] alone is read."""
        return self.const(name, np.zeros((1, height, width, 1), np.int32), shape_only=True)

    def scalar(self, name: str, value: float) -> Ref:
        """A float32 const of shape 1x1x1x1."""
        return self.const(name, np.full(SCALAR, value, np.float32))

    def minmax(self, tensor: str, span: Range) -> tuple[Ref, Ref]:
        """The min and max consts of a tensor, named as MACE names them."""
        return self.scalar(f"{tensor}_min", span.min), self.scalar(f"{tensor}_max", span.max)

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
    ) -> int:
        """Append one op node; returns its id."""
        node = Node(
            id=len(self.graph.nodes) + 1,
            name=self._unique(name),
            op=op,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            padding=padding,
            onnx_node=self.onnx_node,
            origin=origin,
            keeps_range=keeps_range,
        )
        self.graph.nodes.append(node)
        return node.id

    def quantized(
        self,
        op: str,
        inputs: Sequence[Ref],
        shape: Shape4,
        span: Range,
        *,
        name: str,
        dtype: str = "uint8",
        static: bool = True,
        padding: Padding = Padding.NA,
        keeps_range: bool = False,
    ) -> Tensor:
        """Append a node that answers (data, min, max) and describe its output.

        Args:
            op: nnlib op name.
            inputs: in the library's order.
            shape: BHWD of the data output.
            span: what the output's codes mean.
            name: the tensor that it computes.
            dtype: of the data output.
            static: whether `span` is fixed, or only expected.
            padding: of the node.
            keeps_range: whether it cannot answer in a narrower range.
        """
        node = self.node(
            op, inputs, (Output(shape, dtype), *MINMAX), name=name, padding=padding,
            keeps_range=keeps_range,
        )
        return Tensor(Ref(node), Ref(node, 1), Ref(node, 2), shape, span, static, dtype)

    def mark_origin(self, tensor: Tensor, origin: Origin) -> None:
        """Say that a node's output 0 is an ONNX tensor: for layer-wise checks and reports.

        The first name stays, but one that hexconv made up gives way to one of the model's own. A
        tensor that reads the node's codes in a range of its own is not what the node says.
        """
        index = tensor.data.node - 1
        if index < 0 or tensor.data.port != 0 or tensor.min.node != tensor.data.node:
            return
        node = self.graph.nodes[index]
        known = node.origin
        made_up = known is not None and known.tensor not in self.original
        if known is None or (made_up and origin.tensor in self.original):
            self.graph.nodes[index] = replace(node, origin=origin)

    def finish(self) -> Graph:
        """The graph, numbered as MACE numbers it."""
        return self.graph.renumbered()

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate


# Consts above this many bytes are weights: unique in practice, and not worth hashing.
_SHARE_LIMIT = 4096


def _content(array: Array) -> bytes | None:
    return array.tobytes() if array.nbytes <= _SHARE_LIMIT else None


def _float32(value: float) -> float:
    """As a protobuf's float field gives it back."""
    return float(np.float32(value))
