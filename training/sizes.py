"""Sizes of input images as users write them: 64, 48x192 (height x width), 1x28x28 (channels first)."""

from collections.abc import Sequence

from merges.sizes import sides
from training.errors import BadInputError

Size = int | tuple[int, ...]  # a square's side, (height, width) or (channels, height, width)
Shape = tuple[int, int, int]  # channels, height, width

_LEAST, _MOST = 8, 2048
COLOURS = (1, 3)  # channels that every picture can be turned into


def possible(size: Size) -> bool:
    """Whether images have such a size: one to three numbers, sides within what networks take."""
    numbers = (size,) if isinstance(size, int) else size
    sides_fit = all(_LEAST <= side <= _MOST for side in numbers[-2:])
    return 1 <= len(numbers) <= 3 and sides_fit and all(number >= 1 for number in numbers[:-2])


def parsed(text: str) -> Size:
    """Parse a size written by the user.

    Raises
    ------
    BadInputError
        It is not a size, or not one that networks take.
    """
    try:
        numbers = tuple(int(number) for number in text.lower().split("x"))
    except ValueError:
        numbers = ()
    channels = numbers[:-2]
    if not possible(numbers):
        raise BadInputError(
            f"{text!r} is no size of an image; expected 64, 48x192 (height x width) or 1x28x28 (channels x "
            f"height x width), with sides from {_LEAST} to {_MOST}"
        )
    return numbers if channels else short(numbers)


def short(size: Sequence[int]) -> Size:
    """The shortest equivalent form: one number for a square of three channels (or of any)."""
    *channels, height, width = size if len(size) > 1 else (*size, *size)
    if channels and channels != [3]:
        return (*channels, height, width)
    return height if height == width else (height, width)


def shape_of(size: Size) -> Shape:
    """Channels (three, if the size names none), height and width."""
    height, width = sides(size if isinstance(size, int) else size[-2:])
    return channels_of(size) or 3, height, width


def plane(size: Size) -> int | tuple[int, int]:
    """Height and width only; one number for a square."""
    height, width = sides(size if isinstance(size, int) else size[-2:])
    return height if height == width else (height, width)


def channels_of(size: Size | None) -> int | None:
    """The channels, if the size names them."""
    return size[0] if isinstance(size, tuple) and len(size) == 3 else None


def written(size: Size) -> str:
    """Height and width as text: ``64``, ``48x192``."""
    found = plane(size)
    return str(found) if isinstance(found, int) else "x".join(map(str, found))
