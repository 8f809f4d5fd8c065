"""Layer norm's centring belongs into what makes its input (cost/encoder.md).

In a pre-norm network the residual stream is read by layer norms and by nothing else, so its mean
over channels may as well be zero: then layer norm is RMS norm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.build import Builder, array_of, shape_of
from hexconv.onnx_graph.tidy import remove_dead
from hexconv.optimize.registry import Stage, rewrite


@rewrite(Stage.FLOAT)
def norm_centring(graph: FloatGraph) -> int:
    """The mean is taken out of the weights and biases that feed layer norms: x - mean(x) is x."""
    builder = Builder(graph.graph)
    count = 0
    for node in graph.nodes:
        if node.graph and node.op_type == "LayerNormalization" and _last_axis(node):
            stream = _stream(node)
            if stream is not None:
                _centre(stream, builder)
                count += 1
    if count:
        remove_dead(graph.graph)
    return count


@dataclass
class Stream:
    """Values that are added to each other, what makes them, and the norms that read them."""

    values: dict[ir.Value, None] = field(default_factory=dict)
    constants: dict[tuple[ir.Node, int], None] = field(default_factory=dict)
    norms: dict[ir.Node, None] = field(default_factory=dict)


def _last_axis(node: ir.Node) -> bool:
    axis = node.attributes.get("axis")
    rank = len(shape_of(node.inputs[0]))
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return False
    return axis is None or int(axis.as_int()) in (-1, rank - 1)


def _stream(norm: ir.Node) -> Stream | None:
    """Everything whose mean must go if that of the norm's input goes; None if something minds."""
    stream = Stream()
    first = norm.inputs[0]
    assert first is not None
    pending = [first]
    shape = shape_of(first)
    while pending:
        value = pending.pop()
        if value in stream.values:
            continue
        if value.is_graph_output() or shape_of(value) != shape:
            return None
        stream.values[value] = None
        sources = _sources(value, stream)
        readers = _readers(value, stream)
        if sources is None or readers is None:
            return None
        pending += [*sources, *readers]
    return stream


def _sources(value: ir.Value, stream: Stream) -> list[ir.Value] | None:
    """The values whose sum or multiple `value` is; the constants to centre are noted."""
    node = value.producer()
    if node is None:
        return None
    computed: list[ir.Value] = []
    if node.op_type in ("Add", "Sub"):
        for position, operand in enumerate(node.inputs):
            assert operand is not None
            array = array_of(operand)
            if array is None:
                computed.append(operand)
            elif array.ndim and array.shape[-1] == shape_of(value)[-1]:
                stream.constants[node, position] = None
            else:
                return None
        return computed
    if node.op_type in ("Mul", "Div"):
        factor = array_of(node.inputs[1])
        if factor is None or factor.size != 1 or node.inputs[0] is None:
            return None
        return [node.inputs[0]]
    if node.op_type == "MatMul":
        weights = array_of(node.inputs[1])
        if weights is None or weights.ndim != 2:
            return None
        stream.constants[node, 1] = None
        return []
    return None


def _readers(value: ir.Value, stream: Stream) -> list[ir.Value] | None:
    """Values that inherit the centring; None if a reader needs the mean."""
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


def _centre(stream: Stream, builder: Builder) -> None:
    for node, position in stream.constants:
        value = node.inputs[position]
        array = array_of(value)
        assert array is not None and value is not None
        exact = array.astype(np.float64)
        centred = np.asarray(exact - exact.mean(axis=-1, keepdims=True), np.float32)
        node.replace_input_with(position, builder.const(centred, f"{value.name}/centred"))
    for value in stream.values:
        # Another content under the old name would compare, and calibrate, wrongly.
        value.name = builder.fresh(f"{value.name}/centred")
    for norm in stream.norms:
        _as_rms_norm(norm, builder)


def _as_rms_norm(norm: ir.Node, builder: Builder) -> None:
    attrs = {
        name: attr.value for name, attr in norm.attributes.items() if name in ("axis", "epsilon")
    }
    attrs.setdefault("epsilon", 1e-5)
    builder.at(norm)
    result = builder.op("RMSNormalization", norm.inputs[:2], attrs, name=str(norm.name))
    if len(norm.inputs) > 2 and norm.inputs[2] is not None:
        result = builder.op("Add", [result, norm.inputs[2]])
    builder.replace(norm, [result])
