"""Least squares that do not follow outliers, with coefficients that are not negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def non_negative(matrix: Floats, target: Floats) -> Floats:
    """Least squares without negative coefficients (Lawson and Hanson 1974)."""
    count = matrix.shape[1]
    free = np.zeros(count, bool)
    solution: Floats = np.zeros(count)
    for _ in range(3 * count):
        slope = matrix.T @ (target - matrix @ solution)
        if not np.any(slope[~free] > 1e-9):
            break
        free[np.argmax(np.where(free, -np.inf, slope))] = True
        while True:
            trial = np.zeros(count)
            trial[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            below = free & (trial <= 0)
            if not below.any():
                break
            step = np.min(solution[below] / (solution[below] - trial[below] + 1e-300))
            solution = solution + step * (trial - solution)
            free &= solution > 1e-12
        solution = trial
    return solution


def robust(matrix: Floats, wanted: Floats, rounds: int = 8) -> Floats:
    """Coefficients of the least sum of relative errors, by reweighted least squares.

    An error is relative to the larger of what is said and what was measured, so that neither
    saying far too much nor far too little is cheap.
    """
    size = wanted + np.median(wanted)
    weight = np.ones(len(wanted))
    found: Floats = np.zeros(matrix.shape[1])
    for _ in range(rounds):
        scale = np.sqrt(weight) / size
        norm = np.linalg.norm(matrix * scale[:, None], axis=0) + 1e-300
        found = non_negative(matrix * scale[:, None] / norm, wanted * scale) / norm
        said = matrix @ found
        size = np.maximum(wanted, said)
        weight = 1 / np.maximum(np.abs(said - wanted) / size, 0.02)
    return found
