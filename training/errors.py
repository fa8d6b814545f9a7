"""Errors that end a command with one sentence."""

from pydantic import ValidationError


class BadInputError(ValueError):
    """Something the user gave is not usable; the message names it, what was expected, what to do."""


class ExportError(RuntimeError):
    """The network cannot be written as ONNX, or the file answers differently."""


class SearchFailedError(RuntimeError):
    """Trials fail one after the other; the message holds the last reason."""


def first_fault(error: ValidationError) -> str:
    """What pydantic has against a document, as ``field: reason``."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
