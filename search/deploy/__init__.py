"""Trains, exports and measures a plan's network."""
