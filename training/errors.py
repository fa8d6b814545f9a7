"""Errors that end a command with one sentence."""


class BadInputError(ValueError):
    """Something the user gave is not usable; the message names it, what was expected, what to do."""


class ExportError(RuntimeError):
    """The network cannot be written as ONNX, or the file answers differently."""


class SearchFailedError(RuntimeError):
    """Trials fail one after the other; the message holds the last reason."""
