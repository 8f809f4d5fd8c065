"""Models as quantized ONNX, for runtimes other than MACE's."""

from hexconv.qdq.convert import to_qdq
from hexconv.qdq.measure import qdq_accuracy

__all__ = ["qdq_accuracy", "to_qdq"]
