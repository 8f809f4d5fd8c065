"""Float model against simulated DSP: metrics, layer-by-layer errors, and advice.

`verify(model, float_source, samples)` returns a `Report`; `hexconv.compare.accuracy` has the few
figures that `convert` prints; `hexconv.compare.device` compares simulator and emulated library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hexconv.compare.metrics import Metrics
    from hexconv.compare.report import LayerRow, OutputRow, Report
    from hexconv.compare.verification import verify

__all__ = ["LayerRow", "Metrics", "OutputRow", "Report", "verify"]

_HOMES = {
    "LayerRow": "report",
    "Metrics": "metrics",
    "OutputRow": "report",
    "Report": "report",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: `convert` needs neither the layers nor the device.
    if name not in _HOMES:
        raise AttributeError(f"module 'hexconv.compare' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"hexconv.compare.{_HOMES[name]}"), name)
