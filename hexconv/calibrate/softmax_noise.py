"""Noise of the forms of a softmax and its product, by what was measured of the rows.

What is rounded to 255 levels of a range has an error of a twelfth of a square level. Scores in a
wide range, probabilities that are few levels, the product of rows of unlike sums, and the division
by these sums each add some; of 24 made-up attentions the estimate is within 2 dB of what they have
in the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp

import onnx_ir as ir

from hexconv.calibrate.exp_by_products import squared_error
from hexconv.calibrate.softmax_rows import (
    CENTERED,
    INVERSES,
    LOST_OF_ROWS,
    LOST_SQUARES,
    LOWEST_SCORE,
    MEAN_SQUARES,
    POWER,
    PRODUCTS,
    SHARE_SQUARES,
    SQUARES,
    SUMS,
    SUMS_AROUND,
    VARIANCE,
)
from hexconv.onnx_graph.builder import shape_of
from hexconv.quantize import Bounds


@dataclass(frozen=True)
class SoftmaxNoise:
    """Of one softmax and its product: twelfths of square levels of 1/255.

    Attributes:
        library: of the library's op.
        own: of exp relative to each row's maximum.
        centered: of exp by products of scores less their row's mean.
        power: of the product, in squares.
    """

    library: float
    own: float
    centered: float
    power: float


def softmax_noise(node: ir.Node, ranges: Mapping[str, Bounds]) -> SoftmaxNoise | None:
    """The noise of the forms of a softmax; None if it was not measured.

    Args:
        node: the softmax.
        ranges: (min, max) of each value, and of what was measured of rows.
    """
    try:
        return _Rows(node, ranges).noise()
    except (KeyError, OverflowError):  # not measured, or in no range
        return None


class _Rows:
    """What was measured of the rows of a softmax: of means over a sample, the largest."""

    def __init__(self, node: ir.Node, ranges: Mapping[str, Bounds]) -> None:
        assert node.inputs[0] is not None
        self._name, self._ranges = str(node.outputs[0].name), ranges
        self._length = shape_of(node.inputs[0])[-1]
        self._width = _width(ranges[str(node.inputs[0].name)])

    def noise(self) -> SoftmaxNoise:
        """Of each form."""
        own = self._width**2 + min(_width(self._ends("below")), -LOWEST_SCORE) ** 2
        around = self._ends(CENTERED)
        centered = _width(around) ** 2 + squared_error(_width(around))
        return SoftmaxNoise(
            self._library(),
            self._scores(own) + self._sums(SUMS, 0.0),
            self._scores(centered) + self._sums(SUMS_AROUND, around[1]),
            self._most(POWER),
        )

    def _ends(self, part: str) -> Bounds:
        return self._ranges[f"{self._name}/{part}"]

    def _most(self, part: str) -> float:
        return self._ends(part)[1]

    def _scores(self, error: float) -> float:
        """Of scores, which is relative in what exp makes of them."""
        return error * self._most(VARIANCE) * self._most(SHARE_SQUARES)

    def _library(self) -> float:
        lost = self._most(VARIANCE) * self._most(LOST_SQUARES)
        lost += self._most(MEAN_SQUARES) * self._most(LOST_OF_ROWS)
        return self._scores(self._width**2) + 12.0 * lost

    def _sums(self, sums: str, top: float) -> float:
        """Of exp in levels of its maximum, of the product, of the sums and of what divides by them.

        Args:
            sums: of the rows.
            top: logarithm of what exp is 1 of.
        """
        inverses, power = self._most(f"{sums}{INVERSES}"), self._most(POWER)
        product = 2.0 * max(map(abs, self._ends(f"{sums}{PRODUCTS}")))
        least, most = self._ends(sums)
        mass = self._length * self._most(VARIANCE) * exp(2.0 * top)
        division = power * (most**2 * inverses + self._most(f"{sums}{SQUARES}") / least**2)
        return (mass + product**2) * inverses + division


def _width(bounds: Bounds) -> float:
    return bounds[1] - bounds[0]
