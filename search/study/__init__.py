"""Studies in their database."""
