"""Counts of the instructions that a runtime's real kernels execute on ARM, and times made of them."""
