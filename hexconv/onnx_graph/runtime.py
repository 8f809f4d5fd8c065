"""What all sessions of ONNX Runtime share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import SessionOptions

FATAL_ONLY = 4
"""Log level: errors are raised as well, and their log would be a second, colored message."""


def quiet_options() -> SessionOptions:
    """Options of a session that logs nothing."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    return options
