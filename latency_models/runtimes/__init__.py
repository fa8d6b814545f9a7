"""One file a runtime; each defines ``RUNTIME``. A new file is found by itself."""
