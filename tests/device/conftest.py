"""The fake library, and the skip where there is no emulator."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from hexconv.device import Library, Limits
from tests.device.fake_library import fake_library


@pytest.fixture(scope="session")
def fake_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake library's file; its users are skipped without the emulator or the compiler."""
    if not shutil.which("qemu-hexagon"):
        pytest.skip("qemu-hexagon is not installed (Debian: apt-get install qemu-user)")
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed (make test-all)")
    return fake_library(tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="session")
def fake(fake_path: Path) -> Library:
    """The fake library, with time enough for a busy machine."""
    return Library(fake_path, Limits(seconds=60))
