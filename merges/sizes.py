"""Sizes that may be given as one number (needs no torch)."""

from collections.abc import Sequence


def sides(value: int | Sequence[int]) -> tuple[int, int]:
    """Both sides of a size that may be given as one number."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
