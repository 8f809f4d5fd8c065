"""Qualcomm's AIMET, in its own simulation."""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec

import onnx

from benchmarks.accuracy.cases import Array, Case

SETTINGS: dict[str, tuple[str, str, bool]] = {
    "AIMET minmax": ("default", "min_max", False),
    "AIMET CLE": ("default", "min_max", True),
    "AIMET tf_enhanced": ("default", "tf_enhanced", False),
    "AIMET HTP": ("htp_v69", "min_max", False),
    "AIMET HTP CLE": ("htp_v69", "min_max", True),
}
"""Configuration, how ranges are calibrated, and whether layers are equalized before."""


def settings() -> tuple[str, ...]:
    """What can be measured here."""
    return tuple(SETTINGS) if find_spec("aimet_onnx") else ()


def quantized(case: Case, label: str) -> list[Array]:
    """What the held-out samples return in a setting."""
    from aimet_onnx.cross_layer_equalization import equalize_model
    from aimet_onnx.quantsim import QuantizationSimModel

    configuration, scheme, equalized = SETTINGS[label]
    proto = onnx.shape_inference.infer_shapes(deepcopy(case.proto))
    if equalized:
        equalize_model(proto)
    model = QuantizationSimModel(
        proto,
        param_type="int8",
        activation_type="int8",
        quant_scheme=scheme,
        config_file=configuration,
    )
    model.compute_encodings([dict(feeds) for feeds in case.calibration])
    # by place, because it renames the outputs
    place = [value.name for value in case.proto.graph.output].index(case.output)
    return [model.session.run(None, dict(feeds))[place] for feeds in case.held_out]
