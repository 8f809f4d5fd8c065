"""ONNX Runtime's static int8 in the settings that it has."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import onnx
from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from benchmarks.accuracy.cases import Array, Case, Feeds
from hexconv.onnx_runtime import opened

BEST_OF_SIX: dict[str, tuple[bool, str, dict[str, float]]] = {
    "T minmax": (False, "MinMax", {}),
    "C minmax": (True, "MinMax", {}),
    "C entropy": (True, "Entropy", {}),
    "C 99.999": (True, "Percentile", {"CalibPercentile": 99.999}),
    "C 99.99": (True, "Percentile", {"CalibPercentile": 99.99}),
    "C 99.9": (True, "Percentile", {"CalibPercentile": 99.9}),
}
"""By tensor (T) or by channel (C), and how ranges are calibrated."""
SMOOTH_QUANT = {"C SmoothQuant": (True, "MinMax", {"SmoothQuant": True})}
"""Scales on activations moved into weights, by neural-compressor 2."""
SETTINGS = BEST_OF_SIX | SMOOTH_QUANT


def settings() -> tuple[str, ...]:
    """What can be measured here."""
    return tuple(SETTINGS if find_spec("neural_compressor") else BEST_OF_SIX)


class Reader:
    """What ONNX Runtime's quantizer calibrates on."""

    def __init__(self, samples: Sequence[Feeds]) -> None:
        self._all, self._samples = samples, iter(samples)

    def __iter__(self) -> Iterator[Feeds]:
        """All samples, for SmoothQuant."""
        return iter(self._all)

    def get_next(self) -> Feeds | None:
        """The next sample."""
        return next(self._samples, None)


def in_float(model: bytes | Path, samples: Sequence[Feeds], name: str) -> list[Array]:
    """ONNX Runtime's output of that name on each sample."""
    session = opened(model)
    return [session.run([name], dict(feeds))[0] for feeds in samples]


def quantized(case: Case, label: str) -> list[Array]:
    """What the held-out samples return in a setting."""
    by_channel, method, extra = SETTINGS[label]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        source, plain, result = (Path(folder) / f"{n}.onnx" for n in ("source", "plain", "q"))
        onnx.save(case.proto, source)
        quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)
        quantize_static(
            str(plain),
            str(result),
            Reader(case.calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=by_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=getattr(CalibrationMethod, method),
            extra_options={"WeightSymmetric": True, **extra},
        )
        return in_float(result, case.held_out, case.output)
