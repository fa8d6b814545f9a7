"""Images: found in folders and datasets, converted to bytes, augmented."""
