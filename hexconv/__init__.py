"""hexconv: ONNX models to quantized Hexagon DSP models for MACE, verified without a phone."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself takes longer than all the rest
import os
import sys


def _is_command() -> bool:
    """Whether this process is `hexconv` or `python -m hexconv`, and not a program of the user's."""
    program, given = "".join(sys.argv[:1]), sys.orig_argv
    if program == "-m":  # while Python imports the package of the module
        return "-m" in given and given[given.index("-m") + 1 :][:1] == ["hexconv"]
    return os.path.basename(program) == "hexconv"  # noqa: PTH119  # pathlib takes as long as typing


if _is_command() and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Ctrl-C ends the process and shows no traceback of imports; `main` listens to it later.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from importlib import import_module  # noqa: E402

TYPE_CHECKING = False  # importing typing takes 5 ms, in which the command line has no handlers yet
if TYPE_CHECKING:
    from typing import Any

    from hexconv import (
        calibrate,
        compare,
        cost,
        device,
        errors,
        exact,
        nnlib,
        op_table,
        report,
        schema,
        simulator,
    )
    from hexconv.compare import verify
    from hexconv.conversion import convert
    from hexconv.from_deployment import convert_deployment
    from hexconv.model import Model, load
    from hexconv.qdq import to_qdq
    from hexconv.settings import Settings
    from hexconv.simulator import simulate
    from hexconv.splitting import convert_split, split
    from hexconv.support import check

if not os.path.isdir(__path__[0]):  # noqa: PTH112  # pathlib takes as long as typing
    from hexconv.distribution import pip_install

    raise ImportError(
        f"hexconv cannot run from inside an archive ({__path__[0]}): hexconv reads files beside "
        f"its code; unpack it, or {pip_install()}",
        name=__name__,
    )

# Read when ONNX Runtime is imported, which hexconv does later. Its telemetry sends figures of the
# models that it runs, and warns on the terminal where there is no home directory.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.2.0.dev0"
__all__ = [
    "Model",
    "Settings",
    "calibrate",
    "check",
    "compare",
    "convert",
    "convert_deployment",
    "convert_split",
    "cost",
    "device",
    "errors",
    "exact",
    "load",
    "nnlib",
    "op_table",
    "report",
    "schema",
    "simulate",
    "simulator",
    "split",
    "stream",
    "to_qdq",
    "verify",
]

# Imported when first used: a tool that only wants the op table does not wait for ONNX.
_HOMES = {
    "Model": "hexconv.model",
    "Settings": "hexconv.settings",
    "check": "hexconv.support",
    "convert": "hexconv.conversion",
    "convert_deployment": "hexconv.from_deployment",
    "convert_split": "hexconv.splitting",
    "load": "hexconv.model",
    "simulate": "hexconv.simulator",
    "split": "hexconv.splitting",
    "stream": "hexconv.simulator.stream",
    "to_qdq": "hexconv.qdq",
    "verify": "hexconv.compare",
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
