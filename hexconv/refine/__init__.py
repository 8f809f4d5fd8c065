"""What `accuracy="high"` does: each step is kept only if samples that it did not see agree."""

from hexconv.refine.held_back import LEAST, MOST, split
from hexconv.refine.refinement import Refinement

__all__ = ["LEAST", "MOST", "Refinement", "split"]
