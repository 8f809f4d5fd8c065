"""ONNX models in ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hexconv import onnx_runtime
from hexconv.errors import ModelError
from hexconv.onnx_runtime import runtime_errors

if TYPE_CHECKING:
    import onnx


def opened(model: onnx.ModelProto) -> Any:
    """A session on the CPU.

    Raises:
        ModelError: ONNX Runtime does not run the model.
    """
    try:
        return onnx_runtime.opened(model.SerializeToString())
    except runtime_errors() as error:
        raise ModelError(
            "ONNX Runtime does not run the quantized model",
            why=str(error).splitlines()[0],
        ) from error
