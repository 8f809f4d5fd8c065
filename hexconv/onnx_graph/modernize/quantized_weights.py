"""Ops of ONNX Runtime's that read weights of 8 bits or fewer and float data, as float ops.

Formulas: ONNX Runtime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of
from hexconv.onnx_graph.node_edit import integer
from hexconv.onnx_graph.rules import MODERNIZATIONS

Floats = npt.NDArray[np.float32]


@MODERNIZATIONS.rule("com.microsoft::DynamicQuantizeLSTM")
def lstm(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value | None] | None:
    """W, R as (directions, inputs, 4 hidden); scales one a direction, or one a column."""
    inputs = [*node.inputs, *[None] * (12 - len(node.inputs))]
    weights = [_dequantized(inputs[at], inputs[first], inputs[first + 1]) for at, first in PAIRS]
    w, r = weights
    if w is None or r is None:
        return None
    kernels = [w.transpose(0, 2, 1), r.transpose(0, 2, 1)]
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    operands = [inputs[0], *kernels, *inputs[3:8]]
    results = builder.ops("LSTM", operands, attrs, outputs=len(node.outputs), name=str(node.name))
    return [result if old.name else None for old, result in zip(node.outputs, results, strict=True)]


PAIRS = ((1, 8), (2, 10))
"""Of a DynamicQuantizeLSTM's W and R: where they are, and where their scale is."""


@MODERNIZATIONS.rule("com.microsoft::DynamicQuantizeMatMul")
def dynamic_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """A float times B, with a scale and a zero point of B or of its columns, plus a bias."""
    data, codes, scale, zero, bias = [*node.inputs, None, None][:5]
    return _product(data, _dequantized(codes, scale, zero), bias, node, builder)


@MODERNIZATIONS.rule("com.microsoft::MatMulIntegerToFloat")
def dynamic_integer_product(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """The same, where DynamicQuantizeLinear is a node of its own."""
    inputs = [*node.inputs, *[None] * (7 - len(node.inputs))]
    quantizer = None if inputs[0] is None else inputs[0].producer()
    if quantizer is None or quantizer.op_type != "DynamicQuantizeLinear":
        return None
    weights = _dequantized(inputs[1], inputs[3], inputs[5])
    return _product(quantizer.inputs[0], weights, inputs[6], node, builder)


@MODERNIZATIONS.rule("com.microsoft::MatMulNBits")
def product_by_blocks(node: ir.Node, builder: FloatBuilder) -> Sequence[ir.Value] | None:
    """B is (N, blocks, bytes), the lower bits first; scales (N, blocks), zero points alike."""
    data, codes, scales, zeros, order, bias = [*node.inputs, None, None, None][:6]
    packed, steps = array_of(codes), array_of(scales)
    offsets = array_of(zeros)
    rows, columns = integer(node, "K", 0), integer(node, "N", 0)
    bits, block = integer(node, "bits", 4), integer(node, "block_size", 0)
    if packed is None or steps is None or order is not None or packed.dtype != np.uint8:
        return None
    if bits not in (2, 4, 8) or (zeros is not None and offsets is None):
        return None
    count = -(-rows // block)
    values = _unpacked(packed, bits).reshape(columns, count, block)
    zero: Floats = np.array(2 ** (bits - 1), np.float32)
    if offsets is not None:
        whole = _unpacked(offsets, bits) if offsets.dtype == np.uint8 else offsets
        zero = whole.reshape(columns, -1)[:, :count, None].astype(np.float32)
    weights = (values - zero) * steps.reshape(columns, count, 1).astype(np.float32)
    kernel = weights.reshape(columns, -1)[:, :rows].T
    return _product(data, np.asarray(kernel, np.float32), bias, node, builder)


def _unpacked(packed: npt.NDArray[np.generic], bits: int) -> Floats:
    """Numbers of 2, 4 or 8 bits, in their order along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    found = (packed[..., None].astype(np.uint8) >> shifts) & np.uint8(2**bits - 1)
    return found.reshape(*packed.shape[:-1], -1).astype(np.float32)


def _product(
    data: ir.Value | None,
    weights: Floats | None,
    bias: ir.Value | None,
    node: ir.Node,
    builder: FloatBuilder,
) -> list[ir.Value] | None:
    if data is None or weights is None:
        return None
    result = builder.op("MatMul", [data, weights], name=str(node.name))
    return [result if bias is None else builder.op("Add", [result, bias])]


def _dequantized(
    codes: ir.Value | None, scale: ir.Value | None, zero: ir.Value | None
) -> Floats | None:
    """Constants as floats; scale and zero point are one, one a column, or begin with the axes."""
    array, step = array_of(codes), array_of(scale)
    offset = np.zeros(1, np.int8) if zero is None else array_of(zero)
    if array is None or step is None or offset is None:
        return None
    numbers = array.astype(np.float32) - _along(offset, array.ndim)
    return np.asarray(numbers * _along(step, array.ndim), np.float32)


def _along(numbers: npt.NDArray[np.generic], rank: int) -> Floats:
    """Of three axes: (directions) and (directions, columns). Of fewer: one, or one a column."""
    floats = numbers.astype(np.float32)
    if rank < 3 or floats.ndim == 0:
        return floats
    return floats.reshape(floats.shape[0], 1, -1)
