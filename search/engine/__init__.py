"""Runs trials, here or on many workers."""
