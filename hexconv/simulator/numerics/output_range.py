"""Scales of uint8 tensors, and how convolutions choose their output range.

Everything is float32, operation by operation, as nnlib's C does it: a range that differs in the
last bit gives other quantized values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hexconv.errors import GraphError
from hexconv.simulator.numerics.fixed_point import (
    F32,
    div255,
    exponent,
    power2,
    step_and_zero,
    zero_exact_fixed,
)


class QParams(NamedTuple):
    """Scale and zero point."""

    size: np.float32
    zero: int


def level_and_zero(minimum: np.float32, maximum: np.float32) -> QParams:
    """Scale and zero point of a uint8 range.

    Raises:
        GraphError: the range is empty.
    """
    if not maximum > minimum:
        raise GraphError(f"the range {minimum} .. {maximum} of a uint8 tensor is empty")
    return QParams(*step_and_zero(minimum, maximum))


def quarter_octave_up(value: np.float32) -> np.float32:
    """The next power of 2**(1/4) but one (`round_up_quarter_octave` of supernode_utils.h)."""
    scaled = F32(value * F32(1.18920708))
    octave = exponent(scaled)
    fraction = F32(abs(scaled) * power2(-octave))
    for step in (0.594603539, 0.7071067691, 0.8408964276):
        if fraction < F32(step):
            return _signed(F32(F32(step) * power2(octave)), value)
    return _signed(power2(octave), value)


def _signed(size: np.float32, like: np.float32) -> np.float32:
    return F32(-size) if like < 0 else size


@dataclass
class OutputRange:
    """The requested output range of a convolution, with its guessed ends and their growth.

    Source: `setup_initial_output_range` and `supernode_execute_workitem_check_for_retry` of
    nnlib's supernode_utils.h.

    Args:
        minimum: the lower end now in use.
        maximum: the upper end now in use.
        asked: the ends in the node's inputs.
        fixed: bit 0 if the minimum is given, bit 1 if the maximum is; the rest is measured.
        first_guess: nothing was executed yet, so a gain that is too large may still widen it.
    """

    minimum: np.float32
    maximum: np.float32
    asked: tuple[np.float32, np.float32]
    fixed: int
    first_guess: bool

    @classmethod
    def ask(
        cls, minimum: np.float32, maximum: np.float32, guess: tuple[float, float]
    ) -> OutputRange:
        """Start from the requested range, with `guess` where that is infinite."""
        if minimum > 0 or maximum < 0 or not minimum < maximum:
            raise GraphError(
                f"the output range {minimum} .. {maximum} does not contain zero",
                why="the library rejects it when it prepares the graph",
            )
        fixed = int(minimum != -np.inf) + 2 * int(maximum != np.inf)
        low = minimum if fixed & 1 else F32(guess[0])
        high = maximum if fixed & 2 else F32(guess[1])
        if low < 0:
            low, high = zero_exact_fixed(low, high, fixed)
        return cls(low, high, (minimum, maximum), fixed, fixed != 3)

    def level(self) -> np.float32:
        """Scale of the output."""
        return level_and_zero(self.minimum, self.maximum).size

    def grow(self, lowest: int, highest: int, *, exact: bool = True) -> bool:
        """Widen the ends that are not given until values `lowest` .. `highest` fit.

        Args:
            lowest: the smallest output before clipping, in LSB of the output.
            highest: the largest.
            exact: make the zero point an integer again.

        Returns:
            Whether anything moved, so that the node has to run again.
        """
        size, start = self.level(), self.minimum
        moved = False
        if not self.fixed & 2 and highest > 255:
            extreme = F32(F32(size * F32(F32(highest) + F32(0.5))) + start)
            self.maximum = quarter_octave_up(max(extreme, F32(2.0**-4)))
            moved = True
        if not self.fixed & 1 and lowest < 0:
            extreme = F32(F32(size * F32(F32(lowest) - F32(0.5))) + start)
            self.minimum = quarter_octave_up(min(extreme, F32(-(2.0**-8))))
            moved = True
        if moved and exact:
            self._restore()
            self.minimum, self.maximum = zero_exact_fixed(self.minimum, self.maximum, self.fixed)
        return moved

    def limit_gain(self, gain: np.float32, accumulator: np.float32) -> np.float32:
        """Before the first execution: widen a guessed range that would need a gain above 1.75.

        Args:
            gain: accumulator units per output LSB.
            accumulator: real value of one accumulator unit, times the largest channel factor.

        Returns:
            The gain to use (`fill_info_minmax_basics` of supernode_utils.h).
        """
        largest: np.float32 = F32(1.75)
        guessing, self.first_guess = self.first_guess, False
        if not guessing or gain <= largest:
            return gain
        size = F32(accumulator / largest)
        if self.fixed == 0:
            self.minimum, self.maximum = F32(F32(-63) * size), F32(F32(192) * size)
            return largest
        reach = F32(F32(255) * size)
        if self.fixed == 1:
            self.maximum = F32(self.minimum + reach)
            if self.minimum >= 0:
                return largest
        else:
            self.minimum = F32(self.maximum - reach)
        self.minimum, self.maximum = zero_exact_fixed(self.minimum, self.maximum, self.fixed)
        now: np.float32 = F32(accumulator / div255(F32(self.maximum - self.minimum)))
        return now

    def _restore(self) -> None:
        """Reset the given ends to the requested values, so that they can't drift."""
        if self.fixed & 1:
            self.minimum = self.asked[0]
        if self.fixed & 2:
            self.maximum = self.asked[1]
