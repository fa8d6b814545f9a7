"""Trials, and the workers that share them."""
