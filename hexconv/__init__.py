"""hexconv: ONNX models to quantized Hexagon DSP models for MACE, proven on the desk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hexconv import calibrate, compare, cost, device, errors, nnlib, op_table, simulator
    from hexconv.conversion import convert
    from hexconv.model import Model, load
    from hexconv.simulator import simulate
    from hexconv.splitting import split
    from hexconv.support import check

__version__ = "0.1.0"
__all__ = [
    "Model",
    "calibrate",
    "check",
    "compare",
    "convert",
    "cost",
    "device",
    "errors",
    "load",
    "nnlib",
    "op_table",
    "simulate",
    "simulator",
    "split",
]

# Imported when first used: a tool that only wants the op table does not wait for ONNX.
_HOMES = {
    "Model": "hexconv.model",
    "check": "hexconv.support",
    "convert": "hexconv.conversion",
    "load": "hexconv.model",
    "simulate": "hexconv.simulator",
    "split": "hexconv.splitting",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in __all__:
        value = import_module(f"hexconv.{name}")
    else:
        raise AttributeError(f"module 'hexconv' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
