"""What the error of the simulated model decides.

Each step of `accuracy="high"` is kept only if samples that it did not see agree; an observer of
ranges is chosen on samples of the calibration.
"""

from hexconv.refine.held_back import LEAST, Judge, Score, first_samples, split, too_few
from hexconv.refine.journal import Journal, journal_of
from hexconv.refine.observers import chosen_ranges
from hexconv.refine.ranges import mixed_ranges
from hexconv.refine.refinement import LEAST_VALUES, MOST_TOGETHER, MOST_TRIED, Refinement

__all__ = [
    "LEAST",
    "LEAST_VALUES",
    "MOST_TOGETHER",
    "MOST_TRIED",
    "Journal",
    "Judge",
    "Refinement",
    "Score",
    "chosen_ranges",
    "first_samples",
    "journal_of",
    "mixed_ranges",
    "split",
    "too_few",
]
