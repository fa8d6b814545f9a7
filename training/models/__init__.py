"""Loads networks by name, with their weights."""

from training.models.loading import LoadedModel, builtins, is_onnx, load

__all__ = ["LoadedModel", "builtins", "is_onnx", "load"]
