"""Mel spectrograms side by side, and their differences (the `report` extra)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexconv.errors import MissingExtra
from hexconv.files import write_files
from hexconv.models import mel
from hexconv.models.config import GeneratorConfig

Waves = dict[str, NDArray[np.float32]]


VISIBLE = 2.0 / 256
"""Of a natural logarithm: a smaller difference has the color of none."""


def spectrograms(path: str | Path, waves: Waves, reference: str, config: GeneratorConfig) -> None:
    """Draw one row per wave as .png: its mel, and the difference from that of `reference`.

    A wave whose difference cannot be seen has no second panel.

    Args:
        path: of the picture.
        waves: (T,) float32 by name, all of one utterance.
        reference: the name that the others are compared with.
        config: of the mel.

    Raises:
        MissingExtra: matplotlib is not installed.
        FileError: the picture cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "report") from error
    mels = {name: mel.log_mel(wave, config)[0] for name, wave in waves.items()}
    frames = min(m.shape[1] for m in mels.values())
    seconds = frames * config.hop_size / config.sampling_rate
    figure = Figure(figsize=(12, 2.2 * len(mels) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(mels), 2, squeeze=False, sharex=True, sharey=True)
    extent = (0.0, seconds, 0.0, float(config.num_mels))
    for row, (name, spectrum) in zip(axes, mels.items(), strict=True):
        levels, gap = spectrum[:, :frames], spectrum[:, :frames] - mels[reference][:, :frames]
        _panel(figure, row[0], levels, f"{name}: log-mel", extent, "magma", np.log(mel.FLOOR), 2.5)
        if np.abs(gap).max() < VISIBLE:  # the reference itself, for one
            row[1].set_visible(False)
        else:
            title = f"{name} - {reference}: mean |difference| {np.abs(gap).mean():.3f}"
            _panel(figure, row[1], gap, title, extent, "RdBu_r", -2.0, 2.0)
        row[0].set_ylabel("mel band")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90, metadata={"Software": None})
    write_files({Path(path): drawn.getvalue()})


def _panel(
    figure: Any,
    axis: Any,
    values: NDArray[np.float32],
    title: str,
    extent: tuple[float, ...],
    colors: str,
    low: float,
    high: float,
) -> None:
    image = axis.imshow(
        values, origin="lower", aspect="auto", extent=extent, cmap=colors, vmin=low, vmax=high
    )
    axis.set_title(title, fontsize=9, parse_math=False)  # a $ is a character
    figure.colorbar(image, ax=axis, pad=0.01)
