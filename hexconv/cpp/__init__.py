"""ONNX Runtime from C++: a runner, how it is built for three platforms, and how it is started."""
