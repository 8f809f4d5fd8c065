"""Trained networks that others published, converted as they are and compared with ONNX Runtime."""
