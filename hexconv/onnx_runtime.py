"""ONNX Runtime on the CPU: sessions that log nothing, and what they raise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

FATAL_ONLY = 4
"""Log level: errors are raised as well, and their log would be a second, colored message."""


def quiet_options() -> SessionOptions:
    """Options of a session that logs nothing."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    return options


def opened(model: bytes | Path, options: SessionOptions | None = None) -> InferenceSession:
    """A session on the CPU.

    Args:
        model: a file's content, or its path.
        options: by default `quiet_options`.

    Raises:
        Exception: one of `runtime_errors`.
    """
    import onnxruntime as ort

    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(
        source, options or quiet_options(), providers=["CPUExecutionProvider"]
    )


def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its own classes derive from Exception alone."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        state.EPFail,
        RuntimeError,
        ValueError,
    )
