"""The nnlib graph: exactly what `hexagon_nn_append_const_node` and `append_node` receive.

Everything below the lowering reads only this: MACE's files, the simulator, the
emulated library, the cost model, the reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import prod
from typing import NamedTuple, Protocol

import numpy as np

from hexconv.arrays import Array
from hexconv.errors import GraphError
from hexconv.nnlib.layout import Layout, Shape4
from hexconv.raw_tensors import DataFormat
from hexconv.slices import Slices

INPUT_OP = "QuantizeINPUT_f_to_8"
OUTPUT_OP = "DequantizeOUTPUT_8tof"
FLOAT_OUTPUT_OP = "OUTPUT"
OUTPUT_PORTS = {OUTPUT_OP: 3, FLOAT_OUTPUT_OP: 4}
"""The ops that a graph ends with, and what each reads for an output of the model.

Data, min and max of 8 bits. OUTPUT copies what it reads to MACE's four tensors of an output: float
data, two unused numbers and a flag (hexagon_dsp_wrapper.cc ExecuteGraphNew, op_output.c).
"""
ENDS = (INPUT_OP, *OUTPUT_PORTS)
"""The ops that carry the model's inputs and outputs."""


class Padding(StrEnum):
    """`hexagon_nn_padding_type`; the values are those of nn_graph_types.h."""

    NA = "NN_PAD_NA"
    SAME = "NN_PAD_SAME"
    VALID = "NN_PAD_VALID"
    MIRROR_REFLECT = "NN_PAD_MIRROR_REFLECT"
    MIRROR_SYMMETRIC = "NN_PAD_MIRROR_SYMMETRIC"
    SAME_CAFFE = "NN_PAD_SAME_CAFFE"

    def __str__(self) -> str:
        return self.value

    @property
    def code(self) -> int:
        """The number that the library and MACE's protobuf use."""
        return list(Padding).index(self)

    @classmethod
    def from_code(cls, code: int) -> Padding:
        """The padding of a protobuf's `padding` field."""
        try:
            return list(cls)[code]
        except IndexError:
            raise GraphError(f"unknown padding code {code}") from None


class Ref(NamedTuple):
    """One tensor: output `port` of the node or const with id `node`."""

    node: int
    port: int = 0


@dataclass(frozen=True)
class Output:
    """What a node declares of one output: the largest shape, and the element type.

    `dtype` is a NumPy name: uint8, int32, float32, int16 or uint16.
    """

    shape: Shape4
    dtype: str

    @property
    def elsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the largest tensor."""
        return prod(self.shape) * self.elsize


@dataclass(frozen=True)
class Origin:
    """The ONNX tensor that output 0 of a node is, and its layout: for layer-wise checks.

    The output's shape may be another one of the same bytes as `layout.shape(shape)`.
    """

    tensor: str
    shape: tuple[int, ...]
    layout: Layout


@dataclass(frozen=True, eq=False)
class Const:
    """A constant: a 4-D array, or one of which only the shape is read (strides, windows).

    `range` is the (min, max) of quantized values; it is information for MACE's
    metadata and for people, the library reads the min and max consts. `exact` are the floats that
    weights were rounded from, for a refinement that rounds them anew; no file has them.
    """

    id: int
    name: str
    array: Array
    shape_only: bool = False
    range: tuple[float, float] | None = None
    exact: Array | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and (
            (self.id, self.name, self.shape_only, self.array.dtype, self.array.shape)
            == (other.id, other.name, other.shape_only, other.array.dtype, other.array.shape)
            and (self.shape_only or self.array.tobytes() == other.array.tobytes())
        )


@dataclass(frozen=True)
class Node:
    """One op node.

    `onnx_node` names the ONNX node that it was lowered from; `origin` the ONNX tensor that output
    0 is, where it is one. `keeps_range`: the library cannot use a narrower range than the
    one that is requested, so rewrites leave it unchanged. `saturates`: (low, high) that output 0
    must not leave, because the end of its range replaces an activation. `made_for`: (min, max) of
    input 0 for which constants were computed (a lookup table's). `by_levels`: it takes quantized
    values for those of one range, whichever a run gives them, and what reads it undoes that.
    """

    id: int
    name: str
    op: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Output, ...]
    padding: Padding = Padding.NA
    onnx_node: str = ""
    origin: Origin | None = None
    keeps_range: bool = False
    saturates: tuple[float, float] | None = field(default=None, compare=False)
    made_for: tuple[float, float] | None = field(default=None, compare=False)
    by_levels: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Interface:
    """One input or output of the model, from the user's point of view.

    `shape` and the axes of `layout` are the ONNX model's; the library sees
    `layout.shape(shape)`. `range` is the calibrated (min, max), float32. `nhwc`: MACE's
    application passes the image channels last, and not as the ONNX model has it. `slices`: the
    library returns the output in slices of its range, behind each other on its channels.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    range: tuple[float, float] = (0.0, 0.0)
    nhwc: bool = False
    slices: Slices | None = None

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of what MACE's application passes: of an output in slices, of these."""
        return self.shape if self.slices is None else self.slices.spread(self.shape)

    @property
    def bhwd(self) -> Shape4:
        """The 4-D sizes that the library sees."""
        return self.layout.shape(self.raw_shape)

    def of_raw(self, array: Array) -> Array:
        """The output in the ONNX model's shape, of slices put together, from `raw_shape`."""
        return array if self.slices is None else self.slices.joined(array)

    @property
    def data_format(self) -> DataFormat:
        """What MACE's application has to declare for the tensor so that the right bytes arrive.

        MACE transposes NCHW to the NHWC that a graph with channels last reads; it passes NHWC and
        NONE unchanged.
        """
        if self.nhwc:
            return "NHWC"
        return "NCHW" if self.layout == Layout.channels_last(4) else "NONE"


@dataclass(repr=False)
class Graph:
    """Consts, nodes in execution order, and the model's interface.

    Input i of the model is ports 3i, 3i+1, 3i+2 of the one `QuantizeINPUT_f_to_8` node; output i
    is inputs 3i.. of the one `DequantizeOUTPUT_8tof` node, or, where the graph computes outputs in
    float, inputs 4i.. of the one `OUTPUT` node.
    """

    name: str = "model"
    consts: list[Const] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Interface] = field(default_factory=list)
    outputs: list[Interface] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes, {len(self.consts)} consts>"

    def const_by_id(self) -> dict[int, Const]:
        """Consts by node id."""
        return {const.id: const for const in self.consts}

    def node_by_id(self) -> dict[int, Node]:
        """Op nodes by node id."""
        return {node.id: node for node in self.nodes}

    def consumers(self) -> dict[Ref, list[tuple[Node, int]]]:
        """Every reader of each tensor, as (node, input position)."""
        readers: dict[Ref, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for position, ref in enumerate(node.inputs):
                readers.setdefault(ref, []).append((node, position))
        return readers

    @property
    def data_formats(self) -> dict[str, DataFormat]:
        """What MACE's application declares for each input and output, by name."""
        return {item.name: item.data_format for item in (*self.inputs, *self.outputs)}

    def histogram(self) -> dict[str, int]:
        """The number of nodes of each op, by name."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.op] = counts.get(node.op, 0) + 1
        return dict(sorted(counts.items()))

    def renumbered(self) -> Graph:
        """The same graph with MACE's ids: consts 0..N-1 in order, then nodes in order."""
        ids = {const.id: new for new, const in enumerate(self.consts)}
        ids.update({node.id: new for new, node in enumerate(self.nodes, start=len(ids))})
        consts = [replace(const, id=ids[const.id]) for const in self.consts]
        nodes = [
            replace(
                node,
                id=ids[node.id],
                inputs=tuple(Ref(ids[ref.node], ref.port) for ref in node.inputs),
            )
            for node in self.nodes
        ]
        return Graph(self.name, consts, nodes, list(self.inputs), list(self.outputs))


class HasGraph(Protocol):
    """A converted or loaded model: anything with an nnlib graph."""

    @property
    def graph(self) -> Graph:
        """The graph."""


def graph_of(model: HasGraph | Graph) -> Graph:
    """The nnlib graph of a model, or the graph itself."""
    return model if isinstance(model, Graph) else model.graph
