"""Loads networks by name, with their weights."""

from training.models.loading import LoadedModel, builtins, load

__all__ = ["LoadedModel", "builtins", "load"]
