"""Where images come from."""

from training.sources.opening import folder_of, read_folder, source
from training.sources.source import UNLABELLED, UNREADABLE, Sample, Source

__all__ = ["UNLABELLED", "UNREADABLE", "Sample", "Source", "folder_of", "read_folder", "source"]
