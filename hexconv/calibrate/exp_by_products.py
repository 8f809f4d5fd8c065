"""exp of numbers up to a known maximum by products: a tenth of a table's packets.

exp(t) is exp(t / 2^k) squared k times, and for t / 2^k from -0.9 to 0 a parabola is right to
0.5 %. A table of 256 values takes 3 packets an element and more in scalar code, each of these nodes
0.07 in vectors. Each square doubles the relative error of what it is of: near the maximum the
result is off by 1 %, where a table is by 0.1 %.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, exp, pi, sqrt
from typing import Any

import numpy as np
import onnx_ir as ir

from hexconv.quantize import Bounds
from hexconv.quantize.ranges import LEVELS

WIDEST = 0.9
"""Of the numbers that the parabola is of."""

NARROWEST = 0.01
"""Of them: less, and the points of the parabola are too near to each other to tell it."""

Make = Callable[[str, list[Any], Bounds], ir.Value]


def exp_by_products(value: ir.Value, bounds: Bounds, make: Make) -> ir.Value:
    """exp(x - high) of a tensor of numbers from low to high.

    Args:
        value: the tensor.
        bounds: low and high.
        make: makes a node of an op, its inputs, and the range of its result.
    """
    low, high = bounds
    squares = _squares(high - low)
    curve, slope, start = _parabola(min((low - high) / 2.0**squares, -NARROWEST))
    factor, rest = sqrt(curve) / 2.0**squares, start - slope**2 / (4.0 * curve)
    most = slope / (2.0 * sqrt(curve))  # curve v^2 + slope v + start is (sqrt(curve) v + most)^2
    scaled = make("Mul", [value, np.float32(factor)], (factor * low, factor * high))
    moved = make("Add", [scaled, np.float32(most - factor * high)], (0.0, most))
    square = make("Mul", [moved, moved], (0.0, most**2))
    power = make("Add", [square, np.float32(rest)], (0.0, most**2 + rest))
    for _ in range(squares):
        power = make("Mul", [power, power], (0.0, 1.0))
    return power


def squared_error(width: float) -> float:
    """The square of the relative error near the maximum, in twelfths of square levels of 1/255.

    Three roundings before the first square, one after it and each other; and the parabola's, half
    of the square of its largest.

    Args:
        width: of the range of the numbers.
    """
    squares = _squares(width)
    parabola = (width / 2.0**squares / 2.0) ** 3 / 24.0
    times = 4.0**squares
    return 3.0 * times + (times - 1.0) / 3.0 + times * 6.0 * LEVELS**2 * parabola**2


def _squares(width: float) -> int:
    """How often the parabola is squared."""
    squares = 0
    while width > WIDEST * 2.0**squares:
        squares += 1
    return squares


def _parabola(least: float) -> tuple[float, float, float]:
    """a, b and c of a v^2 + b v + c, which is exp(v) at three Chebyshev points of (least, 0)."""
    x, y, z = (least / 2.0 * (1.0 - cos(pi * (2 * k + 1) / 6.0)) for k in range(3))
    first, second = (exp(y) - exp(x)) / (y - x), (exp(z) - exp(y)) / (z - y)
    curve = (second - first) / (z - x)
    slope = first - curve * (x + y)
    return curve, slope, exp(x) - (curve * x + slope) * x
