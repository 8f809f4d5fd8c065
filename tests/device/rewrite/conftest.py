"""Skips what needs zig's assembler."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope="session", autouse=True)
def needs_zig() -> None:
    """Words are compared with the assembler's."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed (pip install 'hexconv-mace[device]')")
