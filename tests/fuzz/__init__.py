"""Random graphs of ordinary ops, held against ONNX Runtime, 8 bits at best, and each other."""
