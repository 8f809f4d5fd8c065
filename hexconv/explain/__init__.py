"""Where the noise of a model's outputs comes from, and what the options that may help gain.

`explain(source, samples, held_out=...)` measures both: the noise of each tensor at the outputs by
cause, and each option by converting with it.
"""

from hexconv.compare.noise import CAUSES, TensorNoise
from hexconv.explain.explanation import Explanation, explain
from hexconv.explain.trials import Trial

__all__ = ["CAUSES", "Explanation", "TensorNoise", "Trial", "explain"]
