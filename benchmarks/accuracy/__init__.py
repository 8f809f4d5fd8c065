"""What the levels of accuracy give, beside ONNX Runtime's static int8 on the same samples."""
