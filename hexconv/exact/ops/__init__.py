"""What each executed op means, as a function of standard ONNX ops; one module a family."""
