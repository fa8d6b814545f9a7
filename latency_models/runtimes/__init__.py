"""One file a runtime; each defines ``RUNTIME``, a ``latency_models.runtime.Runtime``. A new file is found by
itself.

Those of another folder are found too where it is appended to this package's ``__path__`` before the first
target is used.
"""
