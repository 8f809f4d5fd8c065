"""A model in two parts: one for the DSP, one for ONNX Runtime on the CPU."""

from hexconv.splitting.convert import convert_split
from hexconv.splitting.parts import AUTO, split

__all__ = ["AUTO", "convert_split", "split"]
