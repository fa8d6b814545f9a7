"""Rebuilt blocks are learned from their teacher, one by one."""
