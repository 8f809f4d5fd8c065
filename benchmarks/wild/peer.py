"""ONNX Runtime's static int8 of a network, on the same calibration samples."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import version_converter

Feeds = Mapping[str, np.ndarray[Any, Any]]


class Reader:
    """What ONNX Runtime's quantizer calibrates on."""

    def __init__(self, samples: Sequence[Feeds]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Feeds | None:
        """The next sample."""
        return next(self._samples, None)


def session(path: Path) -> Any:
    """A model in ONNX Runtime, which prints errors alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def quantized(source: Path, folder: Path, samples: Sequence[Feeds], *, per_channel: bool) -> Path:
    """The model in QDQ form: uint8 activations, symmetric int8 weights, ranges by min and max.

    Args:
        source: the float model.
        folder: for the results.
        samples: for calibration.
        per_channel: a scale for each output channel of the weights, or one for all.
    """
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    logging.disable(logging.WARNING)
    plain, result = folder / "plain.onnx", folder / f"qdq-{per_channel}.onnx"
    if not plain.exists():
        try:
            quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)
            session(plain).run(None, dict(samples[0]))
        except Exception:  # its optimizer fails on models that its quantizer takes, or breaks them
            plain.write_bytes(source.read_bytes())
    if per_channel:
        onnx.save(_with_axes(onnx.load(plain)), plain)
    quantize_static(
        str(plain),
        str(result),
        Reader(samples),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"WeightSymmetric": True},
    )
    return result


def _with_axes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Of an opset whose DequantizeLinear has scales by channel, if onnx can convert it."""
    if max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")) >= 13:
        return model
    try:
        return version_converter.convert_version(model, 17)
    except Exception:  # the quantizer then says what it lacks
        return model
