"""Errors that a user can mend."""


class BadInputError(ValueError):
    """Something the user gave is not usable; the message names it, what was expected, what to do."""
