"""Errors that end a command with one sentence."""

from pydantic import ValidationError


class BadInputError(ValueError):
    """The user's input is not usable; the message names it, what was expected, and what to do."""


class ExportError(RuntimeError):
    """The network cannot be written as ONNX, or the file answers differently."""


class SearchFailedError(RuntimeError):
    """The search cannot go on; the message holds the reason."""


class DivergedError(ArithmeticError):
    """Training or a network's answers are not finite; the message says where."""


def first_fault(error: ValidationError) -> str:
    """The first fault that pydantic finds in a document, as ``field: reason``."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
