"""A folder with a small model and a sample of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hexconv import cli

from .converting import tiny
from .processes import CONVERT, words


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with tiny.onnx and samples in it."""
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny(), "tiny.onnx")
    rng = np.random.default_rng(5)
    np.save("speech.npy", rng.uniform(-1, 1, (6, 8, 16)).astype(np.float32))
    return tmp_path


@pytest.fixture
def built(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny.pb and what belongs to it in the current folder."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    (home / "summary.md").write_text("a line\n")
    assert CliRunner().invoke(cli.group, [*words(CONVERT), "-q", "-o", "."]).exit_code == 0
    return home
