"""The library's arithmetic that kernels share: fixed point, HVX instructions, ranges, tiles."""
