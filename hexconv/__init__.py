"""hexconv: ONNX models to quantized Hexagon DSP models for MACE, proven on the desk."""
