"""Layers learned, networks trained, evaluated and exported (torch, torchvision)."""
