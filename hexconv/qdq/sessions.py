"""ONNX models in ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hexconv.errors import ModelError
from hexconv.onnx_graph.session import runtime_errors

if TYPE_CHECKING:
    import onnx


def opened(model: onnx.ModelProto) -> Any:
    """A session on the CPU.

    Raises:
        ModelError: ONNX Runtime does not run the model.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except runtime_errors() as error:
        raise ModelError(
            "ONNX Runtime does not run the quantized model",
            why=str(error).splitlines()[0],
        ) from error
