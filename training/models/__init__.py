"""Loads networks by name, with their weights."""

from training.models.loading import LoadedModel, load

__all__ = ["LoadedModel", "load"]
