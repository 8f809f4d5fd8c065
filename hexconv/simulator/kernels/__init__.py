"""Kernels: what the library computes for one node, bit for bit; they register themselves."""
