"""Makes random graphs of what networks are made of: layers, residuals, joins, masks, pools, norms.

A tensor is read by several others, is an output as well, is scaled from either side; branches
differ in loudness; clips lie inside and outside of the data. Every graph is finite in float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.fuzz import layers, operations
from tests.fuzz.cases import Array, Case
from tests.fuzz.maker import Maker

SAMPLES = 3
SHORTEST, LONGEST = 3, 14
MOVES: tuple[tuple[float, Callable[[Maker], bool]], ...] = (
    (3, layers.convolution),
    (0.5, layers.transposed_convolution),
    (3, layers.linear),
    (1.2, layers.attention),
    (4, layers.activation),
    (2, layers.clip),
    (4, operations.residual),
    (3, operations.constant_operand),
    (2, layers.affine),
    (2.5, operations.join),
    (1.5, operations.part),
    (1, operations.padding),
    (1.5, operations.pool),
    (1.5, operations.reduction),
    (1.5, layers.norm),
    (1.5, operations.mask),
    (1.2, operations.moved),
    (0.6, operations.repeated),
    (0.6, operations.picked),
    (0.5, operations.blocks),
    (0.4, layers.recurrent),
)
"""Ways in which a graph grows, with their weights; what a seed makes depends on their order."""


def random_case(seed: int, *, wide: bool = False) -> Case:
    """The graph of a seed; a wide one has layers of up to 100 channels."""
    rng = np.random.default_rng(seed)
    m = Maker(rng, wide)
    batch = int(rng.choice([1, 1, 1, 2, 3]))
    rank = int(rng.choice([2, 3, 3, 4, 4]))
    for number in range(1 if m.chance(0.75) else 2):
        sizes = {2: [m.channels(4, 16)], 3: [m.channels(2, 8), m.size(4, 16)]}.get(
            rank, [m.channels(1, 8), m.size(1, 8), m.size(3, 9)]
        )
        first = next(iter(m.inputs.values()), (batch, *sizes))
        m.inputs[f"x{number}"] = first
        m.shapes[f"x{number}"] = first
    weights = np.array([weight for weight, _ in MOVES])
    for _ in range(m.size(SHORTEST, LONGEST)):
        if len(m.steps) >= LONGEST:
            break
        MOVES[int(rng.choice(len(MOVES), p=weights / weights.sum()))][1](m)
    names = [name for name in m.shapes if name not in m.inputs]
    if not names:
        m.add("Relu", ["x0"], m.shapes["x0"])
        names = ["t0"]
    ends = [names[-1], *(name for name in names[:-1] if m.chance(0.08))]
    samples = tuple(sample(m, number) for number in range(SAMPLES))
    case = Case(seed, dict(m.inputs), tuple(m.steps), tuple(dict.fromkeys(ends)), samples)
    return decided(case.tidied())


def _between(values: Array) -> Array:
    """The middle of the widest gap between sorted values; what is far from the only one."""
    if len(values) == 1:
        return np.asarray(values[0] + 1, np.float32)
    middle = values[len(values) // 5 : max(len(values) * 4 // 5, len(values) // 5 + 2)]
    widest = int(np.argmax(np.diff(middle)))
    return np.asarray((middle[widest] + middle[widest + 1]) / 2, np.float32)


COMPARISONS = ("Greater", "GreaterOrEqual", "Less")


def decided(case: Case) -> Case:
    """With thresholds that lie inside of the data in the widest gap between its values.

    A value that is at the threshold is decided by chance, in float as well as in 8 bits.
    """
    for place, step in enumerate(case.steps):
        if step.op not in COMPARISONS:
            continue
        data, threshold = step.inputs
        known = case.samples if data in case.shapes else case.values([data])
        values = np.unique(np.concatenate([run[data].reshape(-1) for run in known]))
        if not values[0] <= step.consts[threshold] <= values[-1]:
            continue
        between = _between(values)
        new = replace(step, consts={threshold: between})
        case = replace(case, steps=(*case.steps[:place], new, *case.steps[place + 1 :]))
    return case


def sample(m: Maker, number: int) -> dict[str, Array]:
    """Normal, of one sign, or uniform; some samples are quieter."""
    loudness = 1.0 if number == 0 else m.pick(1, 0.7, 0.4)
    feeds = {}
    for name, shape in m.inputs.items():
        kind = np.random.default_rng(len(m.steps) + sum(shape)).integers(0, 4)
        values = m.noise(*shape)
        if kind == 0:
            values = np.abs(values)
        elif kind == 1:
            values = values + np.float32(1.5)
        feeds[name] = (np.float32(loudness) * values).astype(np.float32)
    return feeds
