"""Biases of a quantized ONNX model corrected by what it gets wrong on average.

As `hexconv.refine.biases` does for the DSP: the mean error of each channel of a Conv, ConvTranspose
or Gemm, in ONNX Runtime, against the float tensor is subtracted from its int32 bias.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from hexconv.arrays import Array
from hexconv.onnx_graph import FloatGraph
from hexconv.onnx_graph.session import FloatSession
from hexconv.qdq.sessions import opened
from hexconv.refine.mean_errors import MeanErrors

CHANNELS = {"Conv": 1, "ConvTranspose": 1, "Gemm": -1}
"""Ops with a bias in int32, and the axis of the output that it is added along."""
FROM_ENDS = 2
"""Levels from an end of the range within which a value may be clipped."""
NOT_ROUNDED = "_QuantizeLinear_Input"
"""What ONNX Runtime's quantizer calls an output of the model before it is rounded."""


@dataclass(frozen=True)
class _Bias:
    """One bias, in int32.

    Attributes:
        codes, scale: the initializers.
        output: the tensor that it is added to, not rounded yet.
        tensor: its name in the float model.
        axis: of its channels.
        ends: of the range that it is rounded to.
        step: of that range.
    """

    codes: onnx.TensorProto
    scale: onnx.TensorProto
    output: str
    tensor: str
    axis: int
    ends: tuple[float, float]
    step: float


def corrected_biases(
    made: onnx.ModelProto,
    graph: FloatGraph,
    samples: Sequence[Mapping[str, Array]],
) -> tuple[onnx.ModelProto, int]:
    """A model with corrected biases.

    Args:
        made: the quantized model.
        graph: the float model, with the names of its tensors.
        samples: that the errors are measured on.

    Returns:
        The model, and how many biases were corrected.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(made)
    biases, outputs = _biases(changed, set(graph.computed_values())), list(changed.graph.output)
    session = FloatSession(graph, [bias.tensor for bias in biases]) if biases else None
    floats = [session.run(sample) if session else {} for sample in samples]
    times = 0
    for bias in biases:
        error = _error(changed, bias, samples, [found[bias.tensor] for found in floats])
        codes, scale = numpy_helper.to_array(bias.codes), numpy_helper.to_array(bias.scale)
        if error.size != codes.size or not error.any():
            continue
        moved = codes - np.rint(error.reshape(codes.shape) / scale)
        limits = np.iinfo(np.int32)
        array = np.clip(moved, limits.min, limits.max).astype(np.int32)
        bias.codes.CopyFrom(numpy_helper.from_array(array, bias.codes.name))
        times += 1
    del changed.graph.output[:]
    changed.graph.output.extend(outputs)
    return changed, times


def _biases(model: onnx.ModelProto, known: set[str]) -> list[_Bias]:
    """The biases of a model, in the order of its nodes."""
    consts = {item.name: item for item in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    uses = Counter(name for node in model.graph.node for name in node.input)
    rounding = {n.input[0]: n for n in model.graph.node if n.op_type == "QuantizeLinear"}
    found = []
    for node in model.graph.node:
        source = makers.get(node.input[2]) if len(node.input) > 2 else None
        rounds = rounding.get(node.output[0])
        tensor = node.output[0].removesuffix(NOT_ROUNDED)
        if node.op_type not in CHANNELS or source is None or rounds is None or tensor not in known:
            continue
        if source.op_type != "DequantizeLinear" or uses[source.output[0]] != 1:
            continue
        codes, scale = (consts.get(name) for name in source.input[:2])
        step, zero = (numpy_helper.to_array(consts[name]).item() for name in rounds.input[1:])
        if codes is not None and scale is not None and uses[codes.name] == 1:
            ends = (-zero * step, (255 - zero) * step)
            axis = CHANNELS[node.op_type]
            found.append(_Bias(codes, scale, node.output[0], tensor, axis, ends, step))
    return found


def _error(
    model: onnx.ModelProto,
    bias: _Bias,
    samples: Sequence[Mapping[str, Array]],
    floats: Sequence[Array],
) -> Array:
    """The mean error of each channel; 0 where too few values tell it."""
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(bias.output))
    session, margin = opened(model), FROM_ENDS * bias.step
    found = MeanErrors()
    for sample, wanted in zip(samples, floats, strict=True):
        (returned,) = session.run([bias.output], dict(sample))
        expected = np.moveaxis(wanted.astype(np.float64), bias.axis, -1)
        inside = (expected > bias.ends[0] + margin) & (expected < bias.ends[1] - margin)
        found.add(np.moveaxis(returned, bias.axis, -1) - expected, expected, inside)
    return found.trusted()
