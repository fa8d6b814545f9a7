"""Kinds of options, and of their values."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from training.errors import BadInputError
from training.sizes import Size, parsed


class Late(click.Option):
    """An option whose help text is made only when help is shown."""

    def __init__(self, *names: Any, text: Callable[[], str], **more: Any) -> None:
        super().__init__(*names, **more)
        self.text = text

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = self.text()
        return super().get_help_record(ctx)


class ImageSize(click.ParamType):
    """The size of an image, such as 64, 48x192 or 1x28x28."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        try:
            return parsed(str(value))
        except BadInputError as error:
            self.fail(str(error), param, ctx)


class Feeding(click.ParamType):
    """How images are given to a network: a name, or mean and deviation."""

    name = "MEAN/STD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from training.data.preprocess import named  # brings torch, which takes a second

        try:
            named(str(value))
        except BadInputError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class FilePath(click.Path):
    """The path of a file, which may be made."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("nothing is given; expected the name of a file", param, ctx)
        return super().convert(value, param, ctx)


def require_apart(files: Mapping[str, Path | None]) -> None:
    """Refuse files, by the names of their options, that would be written over each other."""
    seen: dict[Path, str] = {}
    for name, path in files.items():
        other = seen.setdefault(path.resolve(), name) if path else name
        if other != name:
            raise BadInputError(f"{other} and {name} are both {path}; give two files")


class Between(click.FloatRange):
    """Numbers within bounds; nan, which is neither above nor below, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found
