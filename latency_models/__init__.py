"""Latency of a network's kernels on a target CPU (no torch: could be copied to a small board)."""
