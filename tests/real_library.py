"""Tests of the real library, which a user's clone and CI do not have (`make test-device`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

NEEDED = [
    pytest.mark.device,
    pytest.mark.skipif(
        not os.environ.get("HEXCONV_LIBRARY"),
        reason="HEXCONV_LIBRARY does not name a libhexagon_nn_skel.so of MACE's",
    ),
    pytest.mark.skipif(not shutil.which("qemu-hexagon"), reason="qemu-hexagon is not installed"),
]
"""Marks of a module that runs it."""


def needed(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark one test that runs it."""
    for mark in NEEDED:
        test = mark(test)
    return test
