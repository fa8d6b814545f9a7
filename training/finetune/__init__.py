"""Whole networks are trained and judged."""
