"""One file a source of images; each defines ``SOURCE``, a ``training.source.Source``. A new file is found by
itself.

Those of another folder are found too where it is appended to this package's ``__path__`` before the first
images are read.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """``read_folder``, imported when it is needed: help lists the sources, and shall not wait for torch."""
    if name == "read_folder":
        from training.images.folders import read_folder

        return read_folder
    raise AttributeError(name)
