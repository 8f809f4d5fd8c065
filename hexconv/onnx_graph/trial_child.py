"""The other process of `trial`: what onnx and ONNX Runtime do with a model, errors left aside.

Run by its path, so that it imports nothing of hexconv: `python -I trial_child.py SYS_PATH_AS_JSON`,
with the model on stdin. A crash is what its exit code says.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

SECONDS = 120
"""Of processor time."""
MEMORY = 16 << 30
"""Bytes of address space, most of which is only reserved."""


def _limit() -> None:
    with suppress(ImportError):  # Windows has no such limits
        import resource

        limits = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, SECONDS))
        for limit, most in (*limits, (resource.RLIMIT_AS, MEMORY)):
            with suppress(ValueError):  # this process has a lower one already
                resource.setrlimit(limit, (most, most))


def main() -> None:
    """Let the C++ of both read the model."""
    sys.path[:] = json.loads(sys.argv[1])
    _limit()
    import onnx
    import onnxruntime

    content = sys.stdin.buffer.read()
    model = onnx.ModelProto.FromString(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with suppress(Exception):  # hexconv finds the same, and says where
        onnx.checker.check_model(model)
    with suppress(Exception):
        onnx.shape_inference.infer_shapes(model, data_prop=True)
    with suppress(Exception):
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
