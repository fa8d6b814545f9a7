"""Text from elsewhere, made safe to show."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Text without control characters (but tabs and newlines), which could change what a terminal shows."""
    return _CONTROL.sub("", text)
