"""The mean error of each channel, as far as it is none of chance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LEAST_VALUES = 12
"""Of a channel, over all samples."""
Floats = npt.NDArray[np.float64]


@dataclass
class MeanErrors:
    """Errors of a layer's channels, sample by sample.

    The mean of a few samples' errors is partly chance. How much, the means of the samples tell; how
    large errors of this layer are otherwise, its channels tell. Each mean is drawn towards 0 by the
    share of chance (James and Stein).

    Args:
        step: of the layer's results; what rounding to it adds is counted to chance where a
            channel's values spread over less than about a step. 0 if they are not rounded.
    """

    step: float = 0.0
    _rows: list[Floats] = field(default_factory=list)

    def add(self, errors: Floats, expected: Floats, counted: npt.NDArray[np.bool_]) -> None:
        """Errors of one sample.

        Args:
            errors: (..., channels).
            expected: of the same shape, the values without an error.
            counted: of the same shape, which of them count.
        """
        parts = (errors, expected, expected**2, np.ones_like(errors))
        sums = [np.where(counted, part, 0.0) for part in parts]
        self._rows.append(np.stack([x.reshape(-1, x.shape[-1]).sum(axis=0) for x in sums]))

    def trusted(self) -> Floats:
        """(channels,) means; 0 where too few values tell it."""
        rows = np.stack(self._rows, axis=1)  # (4, samples, channels)
        counts = rows[3].sum(axis=0)
        known = counts >= LEAST_VALUES
        if len(self._rows) < 2 or not known.any():
            return np.zeros(counts.shape)
        means, values, squares = rows[:3].sum(axis=1) / np.maximum(counts, 1.0)
        chance = self._of_samples(rows, means, counts)
        chance += self._of_rounding(squares - values**2)
        usual = max(float((means**2 - chance)[known].mean()), 0.0)
        share = usual / np.maximum(usual + chance, np.finfo(np.float64).tiny)
        return np.where(known, means * share, 0.0)

    @staticmethod
    def _of_samples(rows: Floats, means: Floats, counts: Floats) -> Floats:
        """(channels,) variance of the means, by how the samples differ."""
        differ = rows[0] - means * rows[3]
        count = rows.shape[1]
        found = (differ**2).sum(axis=0) / np.maximum(counts, 1.0) ** 2 * count / (count - 1)
        return np.asarray(found, np.float64)

    def _of_rounding(self, variance: Floats) -> Floats:
        """(channels,) variance of the mean error of rounding values of some variance.

        By its first harmonic: of normal values that spread over a step it is next to nothing.
        """
        if self.step == 0.0:
            return np.zeros(variance.shape)
        spread = np.maximum(variance, 0.0) / self.step**2
        return np.asarray(self.step**2 / 12.0 * np.exp(-4.0 * np.pi**2 * spread))
