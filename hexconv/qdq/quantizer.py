"""ONNX Runtime's quantizer on a float graph, with ranges that are given."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import gettempdir
from typing import Any

import numpy as np
import onnx

from hexconv.errors import FileError, ModelError, system_reason
from hexconv.onnx_graph import FloatGraph
from hexconv.qdq.opset import lowered_opset
from hexconv.quantize import Range


def quantized(graph: FloatGraph, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """ONNX Runtime's quantizer on the graph, with given ranges.

    Raises:
        ModelError: the model is too large, or the quantizer fails.
        FileError: there is no room for its temporary file.
    """
    try:
        quantizer = _quantizer(lowered_opset(graph), ranges)
    except OSError as error:
        raise FileError(
            "ONNX Runtime's quantizer cannot write its temporary file",
            where=gettempdir(),
            why=system_reason(error),
            hint="free some space there, or set TMPDIR to another folder",
        ) from error
    try:
        with _without_advice():
            quantizer.quantize_model()
        quantizer.model.topological_sort()
        onnx.checker.check_model(quantizer.model.model, full_check=True)
    except Exception as error:  # the quantizer's errors have no class of their own
        raise ModelError(
            "ONNX Runtime's quantizer does not take the model",
            where=graph.source,
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error
    made: onnx.ModelProto = quantizer.model.model
    made.producer_name, made.producer_version = "hexconv", ""
    return made


def _quantizer(proto: onnx.ModelProto, ranges: Mapping[str, Range]) -> Any:
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    limits = {name: (np.float32(r.min), np.float32(r.max)) for name, r in ranges.items()}
    options = {
        "TensorQuantOverrides": {name: [_parameters(r)] for name, r in ranges.items()},
        "WeightSymmetric": True,
        "ForceQuantizeNoInputCheck": True,
    }
    return QDQQuantizer(
        proto,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in proto.graph.node}),
        extra_options=options,
    )


def _parameters(value_range: Range) -> dict[str, Any]:
    """A range as the quantizer takes it: exactly, and not as a minimum and a maximum."""
    from onnxruntime.quantization import QuantType

    return {
        "quant_type": QuantType.QUInt8,
        "scale": np.array(value_range.step, np.float32),
        "zero_point": np.array(value_range.zero, np.uint8),
    }


@contextmanager
def _without_advice() -> Iterator[None]:
    """The quantizer logs to the root logger what it does about weights of one axis."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
