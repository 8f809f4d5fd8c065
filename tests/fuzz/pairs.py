"""Makes graphs of two or three steps: every pair of the ways in which graphs grow, in odd sizes.

Sizes are those at which kernels change their path: heights and widths of 1, depths that are no
multiple of 32. `python -m tests.fuzz --form pairs` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from tests.fuzz import layers, more_operations, operations
from tests.fuzz.cases import Case
from tests.fuzz.graphs import SAMPLES, decided, sample
from tests.fuzz.maker import LARGEST, Maker, Shape

Way = Callable[[Maker], bool]
WAYS: tuple[Way, ...] = (
    layers.convolution,
    layers.transposed_convolution,
    layers.linear,
    layers.attention,
    *(partial(layers.activation, op=op) for op in layers.ACTIVATIONS),
    layers.clip,
    layers.affine,
    layers.norm,
    layers.recurrent,
    operations.residual,
    operations.constant_operand,
    operations.join,
    operations.part,
    operations.padding,
    operations.pool,
    operations.reduction,
    operations.mask,
    operations.moved,
    operations.repeated,
    operations.picked,
    operations.blocks,
    *more_operations.WAYS,
)
DEPTHS = (1, 3, 5, 8, 16, 31, 32, 33, 64, 100)
HEIGHTS = (1, 1, 2, 3, 5, 8, 13)
WIDTHS = (1, 2, 5, 7, 8, 16, 33, 37)
STRIDE = 1009
"""No divisor of the number of pairs: numbers that follow each other have other ways."""
ATTEMPTS = 8
"""Shapes that are tried until both ways fit."""


def random_pair(number: int) -> Case:
    """The graph of a number: numbers up to `len(WAYS) ** 2` have all pairs in turn."""
    first, second = divmod(number * STRIDE % len(WAYS) ** 2, len(WAYS))
    rng = np.random.default_rng([number, 2])
    m = next((m for _ in range(ATTEMPTS) if (m := _pair(rng, first, second))), None)
    if m is None:
        m = _started(rng)
        m.add("Relu", ["x0"], m.shapes["x0"])
    ends = [m.steps[-1].outputs[0]]
    samples = tuple(sample(m, place) for place in range(SAMPLES))
    case = Case(number, dict(m.inputs), tuple(m.steps), tuple(ends), samples)
    return decided(case.tidied())


def _pair(rng: np.random.Generator, first: int, second: int) -> Maker | None:
    m = _started(rng)
    third = [int(rng.integers(len(WAYS)))] if m.chance(0.3) else []
    for place in (first, second, *third):
        if not WAYS[place](m):
            return None
        newest = m.steps[-1].outputs[0]
        if newest not in m.shapes:
            return None
        m.shapes = {newest: m.shapes[newest]}
    return m


def _started(rng: np.random.Generator) -> Maker:
    m = Maker(rng)
    while prod(shape := _shape(rng)) > LARGEST:
        pass
    m.inputs["x0"] = m.shapes["x0"] = shape
    return m


def _shape(rng: np.random.Generator) -> Shape:
    batch, depth = int(rng.choice([1, 1, 1, 2])), int(rng.choice(DEPTHS))
    height, width = int(rng.choice(HEIGHTS)), int(rng.choice(WIDTHS))
    by_rank = {2: (batch, depth), 3: (batch, depth, width), 4: (batch, depth, height, width)}
    return by_rank[int(rng.choice([2, 3, 4, 4, 4]))]
