"""Learns blocks; trains, evaluates and exports networks (torch, torchvision)."""
