"""Layer norm's centering folded into the nodes before it (docs/nnlib/costs.md#encoder).

In a pre-norm network the residual stream is read by layer norms and by nothing else, so its mean
over channels may as well be zero: then layer norm is RMS norm. Values that join the stream from
outside (a Conformer block's last norm) are centered once, instead of in each norm that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.calibrate.centered_sums import center_const
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.cleanup import remove_dead
from hexconv.onnx_graph.rewrites.match import read_once
from hexconv.optimize.registry import Stage, declined, rewrite

SUMS = ("Add", "Sub", "Mul", "Div")
"""Ops that pass the centering of an operand on; a factor or divisor is one constant."""


@rewrite(Stage.FLOAT)
def norm_centering(graph: FloatGraph) -> int:
    """Subtract the mean in the weights and biases that feed layer norms: x - mean(x) is x."""
    builder = FloatBuilder(graph.graph)
    count = 0
    for node in graph.nodes:
        if node.graph and node.op_type == "LayerNormalization" and _last_axis(node):
            stream = _stream(node)
            if stream is None:
                declined("norm_centering", node.name, "a reader of its input needs the mean")
            elif not stream.worth_it:
                declined("norm_centering", node.name, "it would add as many means as it removes")
            else:
                _center(stream, graph, builder)
                count += 1
    if count:
        remove_dead(graph.graph)
    return count


@dataclass
class Stream:
    """Values that are added up, the nodes that compute them, and the norms that read them.

    `foreign` ones keep their mean, for other readers; what joins the stream is centered first.
    """

    values: dict[ir.Value, None] = field(default_factory=dict)
    constants: dict[tuple[ir.Node, int], None] = field(default_factory=dict)
    norms: dict[ir.Node, None] = field(default_factory=dict)
    foreign: dict[ir.Value, None] = field(default_factory=dict)

    @property
    def worth_it(self) -> bool:
        """Whether more means are removed than added."""
        return len(self.norms) > len(self.foreign)

    def joined(self, value: ir.Value) -> list[tuple[ir.Node, int]]:
        """The readers of a foreign value that belong to the stream."""
        return [
            (use.node, use.idx)
            for use in value.uses()
            if (use.node in self.norms and use.idx == 0)
            or (use.node.op_type in SUMS and use.node.outputs[0] in self.values)
        ]


def _last_axis(node: ir.Node) -> bool:
    axis = node.attributes.get("axis")
    rank = len(shape_of(node.inputs[0]))
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return False
    return axis is None or int(axis.as_int()) in (-1, rank - 1)


def _stream(norm: ir.Node) -> Stream | None:
    """Everything whose mean must go if that of the norm's input goes; None if a reader needs it."""
    stream = Stream()
    first = norm.inputs[0]
    assert first is not None
    pending = [first]
    shape = shape_of(first)
    while pending:
        value = pending.pop()
        if value in stream.values or value in stream.foreign:
            continue
        if shape_of(value) != shape:
            return None
        made_of, readers = _sources(value), _readers(value, stream)
        minds = readers is None or value.is_graph_output()
        if made_of is None or (minds and all(map(read_once, made_of.values))):
            stream.foreign[value] = None
            stream.norms.update(dict.fromkeys(_norms_of(value)))
            continue
        if readers is None or minds:
            return None
        stream.values[value] = None
        stream.constants.update(dict.fromkeys(made_of.constants))
        pending += [*made_of.values, *readers]
    return stream


def _norms_of(value: ir.Value) -> list[ir.Node]:
    """The layer norms over the last axis that read a value."""
    nodes = (use.node for use in value.uses() if use.idx == 0)
    return [node for node in nodes if node.op_type == "LayerNormalization" and _last_axis(node)]


@dataclass(frozen=True)
class LinearParts:
    """The operands of a sum or multiple, and the constants (node, input) among them."""

    values: tuple[ir.Value, ...] = ()
    constants: tuple[tuple[ir.Node, int], ...] = ()


def _sources(value: ir.Value) -> LinearParts | None:
    """None for what is no sum or multiple, nor a product whose weights could be centered."""
    node = value.producer()
    if node is None or _ends_norm(node):
        return None
    if node.op_type in ("Add", "Sub"):
        return _terms(node, shape_of(value)[-1])
    if node.op_type in ("Mul", "Div"):
        factor = array_of(node.inputs[1])
        if factor is None or factor.size != 1 or node.inputs[0] is None:
            return None
        return LinearParts((node.inputs[0],))
    if node.op_type == "MatMul":
        weights = array_of(node.inputs[1])
        if weights is None or weights.ndim != 2:
            return None
        return LinearParts(constants=((node, 1),))
    return None


def _ends_norm(node: ir.Node) -> bool:
    """Whether a node adds beta: centered after it, gamma and beta stay one node (`affine`)."""
    if node.op_type != "Add" or all(array_of(value) is None for value in node.inputs):
        return False
    makers = [value.producer() for value in node.inputs if value is not None]
    return any(maker is not None and maker.op_type == "RMSNormalization" for maker in makers)


def _terms(node: ir.Node, width: int) -> LinearParts | None:
    computed: list[ir.Value] = []
    constants: list[tuple[ir.Node, int]] = []
    for position, operand in enumerate(node.inputs):
        assert operand is not None
        array = array_of(operand)
        if array is None:
            computed.append(operand)
        elif array.ndim and array.shape[-1] == width:
            constants.append((node, position))
        else:
            return None
    return LinearParts(tuple(computed), tuple(constants))


def _readers(value: ir.Value, stream: Stream) -> list[ir.Value] | None:
    """Values that inherit the centering; None if a reader needs the mean."""
    heirs: list[ir.Value] = []
    for use in value.uses():
        node = use.node
        if node.op_type == "LayerNormalization" and use.idx == 0 and _last_axis(node):
            stream.norms[node] = None
        elif node.op_type in ("Add", "Sub") or (
            node.op_type in ("Mul", "Div")
            and use.idx == 0
            and (factor := array_of(node.inputs[1])) is not None
            and factor.size == 1
        ):
            heirs.append(node.outputs[0])
        else:
            return None
    return heirs


def _center(stream: Stream, graph: FloatGraph, builder: FloatBuilder) -> None:
    _center_foreign(stream, graph, builder)
    for node, position in stream.constants:
        center_const(node, position, builder)
    for value in stream.values:
        # Different values under the old name would compare, and calibrate, incorrectly.
        value.name = builder.fresh(f"{value.name}/centered")
    for norm in stream.norms:
        _as_rms_norm(norm, builder)


def _center_foreign(stream: Stream, graph: FloatGraph, builder: FloatBuilder) -> None:
    """Subtract the mean of a value that joins the stream, before its first reader there."""
    pending = {value: stream.joined(value) for value in stream.foreign}
    for node in graph.nodes if pending else ():
        for value in [v for v, uses in pending.items() if node in {n for n, _ in uses}]:
            if _has_no_mean(value):
                pending.pop(value)
                continue
            axis = np.array([-1], np.int64)
            mean = builder.at(node).op("ReduceMean", [value, axis], {"keepdims": 1})
            centered = builder.op("Sub", [value, mean], name=f"{value.name}/centered")
            for reader, position in pending.pop(value):
                reader.replace_input_with(position, centered)


def _has_no_mean(value: ir.Value) -> bool:
    """Whether a layer norm with one gamma for all channels, and no beta, made a value."""
    norm = value.producer()
    if norm is None or norm.op_type != "LayerNormalization" or not _last_axis(norm):
        return False
    gamma, beta = array_of(norm.inputs[1]), None
    if len(norm.inputs) > 2 and norm.inputs[2] is not None:
        beta = array_of(norm.inputs[2])
        if beta is None:
            return False
    uniform = gamma is not None and bool((gamma == gamma.reshape(-1)[0]).all())
    return uniform and (beta is None or not beta.any())


def _as_rms_norm(norm: ir.Node, builder: FloatBuilder) -> None:
    attrs = {
        name: attr.value for name, attr in norm.attributes.items() if name in ("axis", "epsilon")
    }
    attrs.setdefault("epsilon", 1e-5)
    builder.at(norm)
    result = builder.op("RMSNormalization", norm.inputs[:2], attrs, name=str(norm.name))
    if len(norm.inputs) > 2 and norm.inputs[2] is not None:
        result = builder.op("Add", [result, norm.inputs[2]])
    builder.replace(norm, [result])
