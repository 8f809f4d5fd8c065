"""Dynamic quantization: integer products with a scale computed at run time, as float products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from hexconv.onnx_graph.builder import FloatBuilder, array_of, shape_of
from hexconv.onnx_graph.rules import SIMPLIFICATIONS

FLOAT_OF = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


@SIMPLIFICATIONS.rule(*FLOAT_OF)
def dynamic_quantization(node: ir.Node, builder: FloatBuilder) -> bool:
    """DynamicQuantizeLinear, an integer product, Cast, Mul by both scales: the float product.

    The DSP quantizes the tensor anyway, to a static range.
    """
    quantizer = None if node.inputs[0] is None else node.inputs[0].producer()
    if quantizer is None or quantizer.op_type != "DynamicQuantizeLinear":
        return False
    cast = _reader(node.outputs[0], "Cast")
    scaled = None if cast is None else _reader(cast.outputs[0], "Mul")
    weights = _weights(node)
    if cast is None or scaled is None or weights is None:
        return False
    scale = scaled.inputs[1 if scaled.inputs[0] is cast.outputs[0] else 0]
    factor = _weight_scale(scale, quantizer.outputs[1])
    if factor is None:
        return False
    kernel = np.asarray(weights * _along(factor, weights, node.op_type), np.float32)
    attrs = {name: attr.value for name, attr in node.attributes.items()}
    builder.at(scaled)
    result = builder.op(FLOAT_OF[node.op_type], [quantizer.inputs[0], kernel], attrs)
    if shape_of(result) != shape_of(scaled.outputs[0]):
        return False
    builder.replace(scaled, [result])
    return True


def _reader(value: ir.Value, op: str) -> ir.Node | None:
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output() or uses[0].node.op_type != op:
        return None
    return uses[0].node


def _weights(node: ir.Node) -> npt.NDArray[np.float64] | None:
    """Constant weights with their zero point subtracted."""
    codes = array_of(node.inputs[1])
    if codes is None:
        return None
    zero: npt.NDArray[np.float64] = np.zeros(1)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        found = array_of(node.inputs[3])
        if found is None:
            return None
        zero = found.astype(np.float64)
    return codes.astype(np.float64) - _along(zero, codes, node.op_type)


def _along(
    numbers: npt.NDArray[np.float64], like: npt.NDArray[np.generic], op: str
) -> npt.NDArray[np.float64]:
    """One number, or one for each column (MatMul) or filter (Conv)."""
    if numbers.size == 1 or op == "MatMulInteger":
        return numbers if numbers.size > 1 else numbers.reshape(())
    return numbers.reshape((-1,) + (1,) * (like.ndim - 1))


def _weight_scale(value: ir.Value | None, dynamic: ir.Value) -> npt.NDArray[np.float64] | None:
    """The constant in dynamic scale times constant."""
    product = None if value is None else value.producer()
    if product is None or product.op_type != "Mul":
        return None
    operands: Sequence[ir.Value | None] = product.inputs
    if dynamic not in operands:
        return None
    found = array_of(operands[1 if operands[0] is dynamic else 0])
    return None if found is None else found.astype(np.float64).reshape(-1)
