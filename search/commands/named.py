"""Field names in the library's messages, as the flags of the command line."""

import re

_FIELD = re.compile(r"`([a-z_]+)`")


def flags(text: str) -> str:
    """A message with every field, as `max_latency`, written as its flag: --max-latency."""
    return _FIELD.sub(lambda field: "--" + field[1].replace("_", "-"), text)
