"""A teacher's data: images and labels in three splits."""

from training.data.loading import NO_DATA, DataSpec, load

__all__ = ["NO_DATA", "DataSpec", "load"]
