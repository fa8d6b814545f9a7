"""One file a source of images; each defines ``SOURCE``, a ``training.source.Source``. A new file is found by
itself.

Those of another folder are found too where it is appended to this package's ``__path__`` before the first
images are read.
"""

from training.sources.imagefolder import read_folder

__all__ = ["read_folder"]
