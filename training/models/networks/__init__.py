"""Built-in networks, one file each, found by name.

Each defines ``build``, ``PREPROCESS``, ``INPUT_SIZE`` and ``CLASSES``.
"""
