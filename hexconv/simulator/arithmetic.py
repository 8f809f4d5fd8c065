"""Ranges and zero codes of uint8 tensors, and how convolutions choose their output range.

Everything is float32, operation by operation, as nnlib's C does it: a range that differs in the
last bit gives other codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hexconv.errors import GraphError
from hexconv.simulator.hvx import div_255, float_exponent, power2, round_f32, saturate_u8

F32 = np.float32


class Level(NamedTuple):
    """What one code is worth, and the code that stands for zero."""

    size: np.float32
    zero: int


def level_and_zero(minimum: np.float32, maximum: np.float32) -> Level:
    """`get_qu8_level_size_zero` of nnlib's quantize.h."""
    size = div_255(F32(maximum - minimum))
    if not size > 0:
        raise GraphError(f"the range {minimum} .. {maximum} of a uint8 tensor is empty")
    return Level(size, saturate_u8(round_f32(F32(F32(-minimum) / size))))


def round_u32(value: np.float32) -> int:
    """`roundf_u32` of nnlib's quantize.h: add a half in float32, cut, not below zero."""
    return int(F32(value + F32(0.5))) if value >= F32(0.5) else 0


def nudge(
    minimum: np.float32, maximum: np.float32, fixed: int = 0
) -> tuple[np.float32, np.float32]:
    """Move the ends until zero is a whole code.

    Source: `adjust_minmax_for_zero_with_constraints` of nnlib's src/quantize.c.

    Args:
        minimum: the range's lower end, float32.
        maximum: the range's upper end, float32.
        fixed: bit 0 if the minimum was asked for, bit 1 if the maximum was.
    """
    span = F32(maximum - minimum)
    if not span > 0 or minimum == 0:
        return minimum, maximum
    z = F32(F32(F32(-255) * minimum) / span)
    whole = F32(np.floor(z))
    part = F32(z - whole)
    if part <= F32(6.1035156e-05) or part >= F32(0.999938965):
        return minimum, maximum
    cost_max = F32(F32(part - F32(1)) * minimum)
    cost_min = F32(part * maximum)
    nearest = F32(whole + F32(1)) if part >= F32(0.5) else whole

    def move_max(zero: np.float32) -> tuple[np.float32, np.float32]:
        return minimum, F32(minimum - F32(F32(F32(255) * minimum) / zero))

    def move_min(zero: np.float32) -> tuple[np.float32, np.float32]:
        return F32(F32(maximum * zero) / F32(zero - F32(255))), maximum

    up = F32(whole + F32(1))
    if fixed == 1:
        outward = whole >= 1 and (z >= F32(192.25) or F32(cost_max * F32(8)) > cost_min)
        return move_max(whole) if outward else move_min(nearest)
    if fixed == 2:
        stuck = z >= F32(63.75) and (whole >= 254 or cost_max > F32(cost_min * F32(8)))
        return move_max(nearest) if stuck else move_min(up)
    if fixed == 3:
        if z <= F32(63.75):
            return move_min(nearest)
        if z >= F32(192.25):
            return move_max(nearest)
        shift = F32(F32(F32(z - nearest) * span) * F32(1 / 255))
        return F32(minimum + shift), F32(maximum + shift)
    if whole >= 1 and (whole >= 254 or cost_max >= cost_min):
        return move_max(whole)
    return move_min(up)


def quarter_octave_up(value: np.float32) -> np.float32:
    """The next power of 2**(1/4) but one (`round_up_quarter_octave` of supernode_utils.h)."""
    scaled = F32(value * F32(1.18920708))
    exponent = float_exponent(scaled)
    fraction = F32(abs(scaled) * power2(-exponent))
    for step in (0.594603539, 0.7071067691, 0.8408964276):
        if fraction < F32(step):
            return _signed(F32(F32(step) * power2(exponent)), value)
    return _signed(power2(exponent), value)


def _signed(size: np.float32, like: np.float32) -> np.float32:
    return F32(-size) if like < 0 else size


@dataclass
class OutputRange:
    """The output range of a convolution as it is asked for, guessed and grown.

    Source: `setup_initial_output_range` and `supernode_execute_workitem_check_for_retry` of
    nnlib's supernode_utils.h.

    Args:
        minimum: the lower end now in use.
        maximum: the upper end now in use.
        asked: the ends as the node's inputs give them.
        fixed: bit 0 if the minimum is given, bit 1 if the maximum is; the rest is found from data.
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
        """Start from what the node's inputs ask for, with `guess` where that is infinite."""
        if minimum > 0 or maximum < 0 or not minimum < maximum:
            raise GraphError(
                f"the output range {minimum} .. {maximum} does not hold zero",
                why="the library refuses it when it prepares the graph",
            )
        fixed = int(minimum != -np.inf) + 2 * int(maximum != np.inf)
        low = minimum if fixed & 1 else F32(guess[0])
        high = maximum if fixed & 2 else F32(guess[1])
        if low < 0:
            low, high = nudge(low, high, fixed)
        return cls(low, high, (minimum, maximum), fixed, fixed != 3)

    def level(self) -> np.float32:
        """What one output code is worth."""
        return level_and_zero(self.minimum, self.maximum).size

    def grow(self, lowest: int, highest: int, *, exact: bool = True) -> bool:
        """Widen the ends that are not given until codes `lowest` .. `highest` fit.

        Args:
            lowest: the smallest output before clipping, in output codes.
            highest: the largest.
            exact: put zero on a whole code again.

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
            self.minimum, self.maximum = nudge(self.minimum, self.maximum, self.fixed)
        return moved

    def limit_gain(self, gain: np.float32, accumulator: np.float32) -> np.float32:
        """Before the first execution: widen a guessed range that asks for a gain above 1.75.

        Args:
            gain: accumulator steps in one output step.
            accumulator: what one accumulator step is worth, times the largest channel factor.

        Returns:
            The gain to use (`fill_info_minmax_basics` of supernode_utils.h).
        """
        largest = F32(1.75)
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
        self.minimum, self.maximum = nudge(self.minimum, self.maximum, self.fixed)
        return F32(accumulator / div_255(F32(self.maximum - self.minimum)))

    def _restore(self) -> None:
        """Put the given ends back to what was asked for, so that they can't drift."""
        if self.fixed & 1:
            self.minimum = self.asked[0]
        if self.fixed & 2:
            self.maximum = self.asked[1]
