"""Maps classes to outputs of a network: a text file with one class per line."""

from collections.abc import Sequence
from pathlib import Path

from training.errors import BadInputError


def outputs_of(classes: Sequence[str], path: str | None) -> tuple[tuple[str, ...], list[int]]:
    """Names of all outputs, and the output number of every class; without a file, classes are outputs.

    A line is a class's name, or begins with it (``n01440764 tench, Tinca tinca``).

    Raises
    ------
    BadInputError
        The file cannot be read, is empty, names a class twice, or lacks one.
    """
    if path is None:
        return tuple(classes), list(range(len(classes)))
    lines = lines_of(path)
    found = places_of(classes, lines, path)
    first = [line.split()[0] for line in lines]
    short = len(set(first)) == len(first) and any(name not in lines for name in classes)
    return tuple(first if short else lines), found


def places_of(names: Sequence[str], known: Sequence[str], among: str) -> list[int]:
    """Where each name stands among known classes: as a whole, or as the first word of one of them.

    Raises
    ------
    BadInputError
        A name is none of them, or begins several; the message says `among` what.
    """
    whole = {name: number for number, name in enumerate(known)}
    first = [name.split()[0] for name in known]
    found: list[int] = []
    for name in names:
        begun = [number for number, word in enumerate(first) if word == name]
        if name in whole:
            found.append(whole[name])
        elif len(begun) == 1:
            found.append(begun[0])
        elif begun:
            raise BadInputError(
                f"class {name!r} is the beginning of {len(begun)} classes of {among} ({known[begun[0]]!r}, "
                f"{known[begun[1]]!r}); name the whole of it"
            )
        else:
            raise BadInputError(
                f"{name!r} is no class of {among}; expected names such as {known[0]!r}, "
                "the whole or the first word"
            )
    return found


def lines_of(path: str) -> list[str]:
    """The non-empty lines, which must be distinct."""
    try:
        text = Path(path).expanduser().read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{path} cannot be read ({error}); expected a text file with one class per line"
        ) from error
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise BadInputError(
            f"{path} names no class; expected one class per line, in the order of the outputs"
        )
    twice = next((line for number, line in enumerate(lines) if line in lines[:number]), None)
    if twice is not None:
        raise BadInputError(
            f"{path} holds the line {twice!r} twice; expected every class once, in the order of the outputs"
        )
    return lines
