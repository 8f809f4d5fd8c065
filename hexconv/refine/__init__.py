"""What the error of the simulated model decides.

Each step of `accuracy="high"` is kept only if samples agree that it was not fitted on; an observer
of ranges is chosen on samples of the calibration.
"""

from hexconv.refine.budget import Budget
from hexconv.refine.default_packets import Price, affordable, too_dear
from hexconv.refine.finer import spend
from hexconv.refine.held_back import (
    LEAST,
    Judge,
    Run,
    Sample,
    first_samples,
    folds,
    too_few,
)
from hexconv.refine.journal import Journal, journal_of
from hexconv.refine.observers import chosen_ranges
from hexconv.refine.ranges import mixed_ranges
from hexconv.refine.recipe import BIASES, RANGES, WIDER, Recipe, Step, steps
from hexconv.refine.refinement import (
    MOST_MADE,
    MOST_TOGETHER,
    MOST_TRIED,
    Original,
    Refinement,
    reported,
)
from hexconv.refine.scores import Score
from hexconv.refine.validation import CrossValidation, Fold, Ticks

__all__ = [
    "BIASES",
    "LEAST",
    "MOST_MADE",
    "MOST_TOGETHER",
    "MOST_TRIED",
    "RANGES",
    "WIDER",
    "Budget",
    "CrossValidation",
    "Fold",
    "Journal",
    "Judge",
    "Original",
    "Price",
    "Recipe",
    "Refinement",
    "Run",
    "Sample",
    "Score",
    "Step",
    "Ticks",
    "affordable",
    "chosen_ranges",
    "first_samples",
    "folds",
    "journal_of",
    "mixed_ranges",
    "reported",
    "spend",
    "steps",
    "too_dear",
    "too_few",
]
