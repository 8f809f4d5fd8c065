"""A long-lived process stays as it is: the first hundredth of `python -m benchmarks.soak`."""

from __future__ import annotations

import sys

import pytest

from benchmarks.soak import soak, works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_conversions_and_simulations_leave_nothing_behind() -> None:
    for name, work, count in works(0.06, library=""):
        before, after = soak(work, count)
        assert after.faults(before) == [], name
