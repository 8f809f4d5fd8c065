"""OpenVINO's NNCF, whose QDQ models run in ONNX Runtime.

It leaves sums, norms, activation functions and the output in float. Here the output is rounded to
256 levels of the range that it has on the calibration samples.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.accuracy.cases import Array, Case
from benchmarks.accuracy.peers.onnx_runtime import in_float
from hexconv.quantize import cover

SETTINGS: dict[str, tuple[bool, bool]] = {
    "NNCF": (False, False),
    "NNCF bias": (True, False),
    "NNCF transformer": (True, True),
}
"""Whether biases are corrected (the fast way), and whether the network is a Transformer, whose
Linears alone read rounded inputs then."""


def settings() -> tuple[str, ...]:
    """What can be measured here."""
    return tuple(SETTINGS) if find_spec("nncf") else ()


def quantized(case: Case, label: str) -> list[Array]:
    """What the held-out samples return in a setting."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    seen = in_float(case.proto.SerializeToString(), case.calibration, case.output)
    proto = _model(case, *SETTINGS[label])
    outputs = in_float(proto.SerializeToString(), case.held_out, case.output)
    return [_rounded(array, seen) for array in outputs]


def _model(case: Case, biases: bool, transformer: bool) -> Any:
    import nncf

    return nncf.quantize(
        deepcopy(case.proto),
        nncf.Dataset([dict(feeds) for feeds in case.calibration]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(case.calibration),
        model_type=nncf.ModelType.TRANSFORMER if transformer else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=not biases),
    )


def _rounded(values: Array, seen: Sequence[Array]) -> Array:
    """In 256 levels of the range that was seen."""
    rounded = cover(min(float(a.min()) for a in seen), max(float(a.max()) for a in seen))
    levels = np.clip(np.rint(values / rounded.step), -rounded.zero, 255 - rounded.zero)
    return np.asarray(levels * rounded.step)
