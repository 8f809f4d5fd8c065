"""A Linear over flattened channels and frequencies is a convolution as wide as the spectrum.

Speech encoders flatten [B,C,T,F] to [B,T,C*F] before a Linear. As exported that is a transpose
of all outputs of the convolutions (55 k packets for 144 x 320) and a reshape; as a
convolution of 1 x F it needs neither. With time on W and frequency on H its result has the layout
that the following Linears need (docs/nnlib/costs.md#encoder).
"""

from __future__ import annotations

from collections.abc import MutableMapping

import numpy as np
import onnx_ir as ir

from hexconv.annotations import annotate, transfer_notes
from hexconv.nnlib.constraints import WIDEST_KERNEL
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.builder import array_of, constant, shape_of
from hexconv.optimize.fusions.edit import only_reader, remove
from hexconv.optimize.registry import Stage, rewrite
from hexconv.quantize import Bounds

FRAMES_FIRST = [0, 2, 1, 3]


@rewrite(Stage.FUSION)
def linear_over_image(graph: FloatGraph, observed: MutableMapping[str, Bounds]) -> int:
    """Transpose, Reshape and Linear after convolutions: one convolution over all frequencies."""
    count = 0
    for node in graph.nodes:
        found = _flattened(node)
        if found is None or not _spectrum(found[2]):
            continue
        reshape, transpose, image = found
        conv = _as_convolution(node, image, graph, observed)
        remove(node, reshape, transpose)
        _lay_time_on_w(conv)
        count += 1
    return count


def _flattened(node: ir.Node) -> tuple[ir.Node, ir.Node, ir.Value] | None:
    """(Reshape, Transpose, image) before a Linear: [B,C,T,F] to [B,T,C,F] to [B,T,C*F]."""
    if node.op_type != "Linear":
        return None
    reshape = maker(node.inputs[0], "Reshape")
    transpose = maker(reshape.inputs[0], "Transpose") if reshape else None
    if reshape is None or transpose is None:
        return None
    perm, image = transpose.attributes.get("perm"), transpose.inputs[0]
    if perm is None or list(perm.as_ints()) != FRAMES_FIRST or image is None:
        return None
    batch, channels, frames, bands = shape_of(image)
    flat = shape_of(reshape.outputs[0]) == (batch, frames, channels * bands)
    return (reshape, transpose, image) if flat else None


def maker(value: ir.Value | None, op: str) -> ir.Node | None:
    """The node of `op` that computes a value which only one node reads."""
    node = value.producer() if value is not None else None
    if node is None or value is None or node.op_type != op or node.domain:
        return None
    return node if only_reader(value) is not None else None


def _spectrum(image: ir.Value) -> bool:
    """The output of a convolution, with no more frequencies than frames."""
    _, _, frames, bands = shape_of(image)
    return maker(image, "Conv") is not None and frames >= bands


def _as_convolution(
    node: ir.Node, image: ir.Value, graph: FloatGraph, observed: MutableMapping[str, Bounds]
) -> ir.Node:
    batch, channels, frames, bands = shape_of(image)
    weights, bias = array_of(node.inputs[1]), node.inputs[2]
    assert weights is not None
    outputs = weights.shape[1]
    kernel = weights.reshape(channels, bands, outputs).transpose(2, 0, 1)[:, :, None, :]
    name = str(node.outputs[0].name)
    value = constant(f"{name}/kernel", np.ascontiguousarray(kernel))
    target = constant(f"{name}/shape", np.asarray([batch, frames, outputs], np.int64))
    for const in (value, target):
        graph.graph.register_initializer(const)
    conv = ir.node("Conv", [image, value, bias], {"kernel_shape": [1, bands]})
    transfer_notes(node, conv)
    turn = ir.node("Transpose", conv.outputs, {"perm": FRAMES_FIRST})
    flat = ir.node("Reshape", [turn.outputs[0], target])
    shapes = ((batch, outputs, frames, 1), (batch, frames, outputs, 1), (batch, frames, outputs))
    for number, (made, shape) in enumerate(zip((conv, turn, flat), shapes, strict=True)):
        made.name = f"{node.name}/image{number}"
        output = made.outputs[0]
        output.name = f"{name}/image{number}"
        output.shape, output.type = ir.Shape(shape), image.type
        observed[output.name] = observed[name]
        graph.graph.insert_before(node, made)
    ir.convenience.replace_all_uses_with(
        node.outputs[0], flat.outputs[0], replace_graph_outputs=True
    )
    node.outputs[0].name, flat.outputs[0].name = f"{name}/replaced", name
    return conv


def _lay_time_on_w(last: ir.Node) -> None:
    """Annotate a chain of convolutions, if all of it supports that layout: rows become columns."""
    chain = [last]
    while (image := chain[-1].inputs[0]) is not None and (node := maker(image, "Conv")):
        chain.append(node)
    group = [node.attributes.get("group") for node in chain]
    narrow = all(shape_of(node.inputs[1])[2] <= WIDEST_KERNEL for node in chain)
    if narrow and all(attr is None or attr.as_int() == 1 for attr in group):
        for node in chain:
            annotate(node, time_on_w=True)
