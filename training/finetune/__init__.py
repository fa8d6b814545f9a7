"""Trains and judges whole networks."""
