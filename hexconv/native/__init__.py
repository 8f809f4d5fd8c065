"""Kernels' inner loops in C: the same bits as NumPy's, in one pass each.

`library()` is the compiled form, or None where NumPy is used. It is built once per machine, by the
system's C compiler or by zig (extra `fast`), as soon as this process has spent as long in NumPy as
a build takes: a small model never waits for it. `HEXCONV_NATIVE=1` builds it at once, `=0` disables
it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hexconv.native.compiler import built_path, compile_to
from hexconv.native.passes import Convolution, Packed, Passes, Windows
from hexconv.paths import is_file

__all__ = [
    "Convolution",
    "Packed",
    "Passes",
    "Windows",
    "disabled",
    "ensure",
    "library",
    "spent",
    "status",
]

BUILD_AFTER = 2.0
"""Seconds in NumPy after which a build pays off."""


class _State:
    """This process's state of the library."""

    def __init__(self) -> None:
        self.passes: Passes | None = None
        self.looked = False
        self.reason = "not built yet"
        self.off = 0
        self.seconds = 0.0
        self.lock = threading.Lock()


_state = _State()


def library() -> Passes | None:
    """The compiled passes, if they are available."""
    if _state.off:
        return None
    if not _state.looked:
        _look()
    return _state.passes


def ensure() -> Passes | None:
    """The compiled passes, built if they are not available yet."""
    if library() is None and not _state.off:
        _build()
    return library()


def spent(seconds: float) -> None:
    """Record seconds spent in NumPy; build when that pays off."""
    if _state.passes is not None or _state.off:
        return
    _state.seconds += seconds
    if _state.seconds >= BUILD_AFTER:
        _build()


def status() -> str:
    """What computes: the instruction set in use, or why it is NumPy."""
    passes = library()
    return f"compiled, {passes.isa}" if passes else f"NumPy ({_state.reason})"


@contextmanager
def disabled() -> Iterator[None]:
    """Use only NumPy, for as long as the context lasts."""
    _state.off += 1
    try:
        yield
    finally:
        _state.off -= 1


def _look() -> None:
    """Load what an earlier process has built."""
    with _state.lock:
        if _state.looked:
            return
        wish = os.environ.get("HEXCONV_NATIVE", "")
        if wish == "0":
            _state.off += 1
            _state.reason = "HEXCONV_NATIVE=0"
        elif is_file(built_path()):
            _load(built_path())
        _state.looked = True
    if wish == "1" and _state.passes is None:
        _build()


def _build() -> None:
    """Build and load, once per process."""
    with _state.lock:
        if _state.passes is not None or _state.seconds == np.inf:
            return
        _state.seconds = np.inf
        _state.reason = compile_to(built_path())
        if not _state.reason:
            _load(built_path())


def _load(path: Path) -> None:
    """Use the library if it computes the same as NumPy."""
    try:
        passes = Passes(path)
    except (OSError, AttributeError) as error:
        _state.reason = f"{path} cannot be loaded: {error}"
        return
    if _agrees(passes):
        _state.passes, _state.reason = passes, ""
    else:
        _state.reason = f"{path} computes other values than NumPy"


def _agrees(passes: Passes) -> bool:
    """Whether a small convolution gives the same sums: the CPU is the one compiled for."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (1, 3, 7, 5), np.uint8)
    weights = draw.integers(0, 256, (2 * 3 * 5, 37), np.uint8)
    offsets = draw.integers(-(2**30), 2**30, 37, np.int32)
    packed = passes.pack(weights, 2, 77)
    found = passes.convolution(x.shape, Windows(2, 5, 2, 3, 1, 1), packed, offsets)(x)
    views = np.lib.stride_tricks.sliding_window_view(x[0], (2, 3), axis=(0, 1))
    rows = views.transpose(0, 1, 3, 4, 2).reshape(2, 5, -1).astype(np.int64)
    return bool((found[0] == rows @ (weights.astype(np.int64) - 77) + offsets).all())
