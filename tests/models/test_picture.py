"""The picture of an utterance: every panel that it has shows something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexconv.models import picture, voice


def test_no_panel_is_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference has no difference from itself, nor has a wave that equals it."""
    figures = pytest.importorskip("matplotlib.figure")
    drawn: list[Any] = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    rng = np.random.default_rng(0)
    wave = rng.normal(size=8192).astype(np.float32) / 10
    noisy = wave + rng.normal(size=8192).astype(np.float32) / 30
    waves = {"torch": wave, "onnx": wave + np.float32(1e-7), "simulate": noisy}
    picture.spectrograms(tmp_path / "x.png", waves, "torch", voice.CONFIG)
    panels = [axis for axis in drawn[0].axes if axis.images and axis.get_visible()]
    titles = [axis.get_title() for axis in panels]
    assert [title.partition(":")[0] for title in titles] == [
        *("torch", "onnx", "simulate", "simulate - torch")
    ]
    assert all(np.ptp(axis.images[0].get_array()) > picture.VISIBLE for axis in panels)
