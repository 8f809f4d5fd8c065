"""What NumPy, onnx and onnx-ir raise about a model that parses, but is none."""

from __future__ import annotations

import onnx_ir as ir

MALFORMED = (
    *(ir.serde.SerdeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError, RecursionError, NotImplementedError),
)


def innermost(error: BaseException) -> str:
    """The innermost cause in one line: onnx-ir wraps errors once per nesting level."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
