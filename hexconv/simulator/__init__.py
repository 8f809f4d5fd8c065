"""nnlib's arithmetic in NumPy: what the DSP answers, known on the desk."""

from hexconv.simulator.run import Simulator, Taps, simulate
from hexconv.simulator.run_op import run_op

__all__ = ["Simulator", "Taps", "run_op", "simulate"]
