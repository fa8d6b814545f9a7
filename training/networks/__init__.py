"""Built-in networks: one file each, found by name; each defines ``build``, ``PREPROCESS``, ``INPUT_SIZE``, ``CLASSES``."""
