"""Import onnx-ir without SymPy, which takes as long to import as a small model to convert.

Recent onnx-ir imports SymPy for arithmetic on symbolic dimensions, which hexconv, whose shapes
are all numbers, never does. While onnx-ir is imported, `sympy` is a placeholder that imports the
real one on first use; afterwards only onnx-ir has the placeholder.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

NAME = "sympy"


class _Function:
    """A function of SymPy in a table of onnx-ir."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(NAME), self._name)(*args, **kwargs)


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(NAME) is self:
            return _Function(name)
        return getattr(import_module(NAME), name)


def _import() -> None:
    if NAME in sys.modules or "onnx_ir" in sys.modules:
        return
    stand_in = _StandIn(NAME)
    sys.modules[NAME] = stand_in
    try:
        import_module("onnx_ir")
    finally:
        if sys.modules.get(NAME) is stand_in:
            del sys.modules[NAME]


_import()
