"""nnlib's arithmetic in NumPy: the DSP's outputs, computed without a phone."""

from hexconv.simulator.run import Simulator, Taps, simulate
from hexconv.simulator.run_op import run_op

__all__ = ["Simulator", "Taps", "run_op", "simulate"]
