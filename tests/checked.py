"""What `check` says, as a yes or no."""

from __future__ import annotations

import onnx

import hexconv
from hexconv.errors import HexconvError


def passes(proto: onnx.ModelProto) -> bool:
    """Whether `check` finds that a model converts."""
    try:
        return hexconv.check(proto).ok
    except HexconvError:
        return False
