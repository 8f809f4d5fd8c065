"""What `accuracy="high"` does: each step is kept only if samples that it did not see agree."""

from hexconv.refine.held_back import LEAST, Judge, Score, first_samples, split, too_few
from hexconv.refine.journal import Journal, journal_of
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
    "first_samples",
    "journal_of",
    "mixed_ranges",
    "split",
    "too_few",
]
