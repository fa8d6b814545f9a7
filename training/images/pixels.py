"""Converts images of any form to bytes of the size and channels that a network takes."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from merges.sizes import sides
from training.errors import BadInputError
from training.sizes import COLOURS

Picture = Image.Image | np.ndarray  # of 8 bits; an array is (channels, height, width)

_RESIZE = 256 / 224  # short side before the centre crop, as ImageNet networks are evaluated
_DEEP = ("I", "F")  # PIL's modes of more than 8 bits: I;16, I;16B, I, F
_SLACK = 0.01  # resizing may overshoot


def picture(item: Any, name: str) -> Picture:
    """A PIL image, a tensor (channels first) or an array (either way round) with 8 bits a value.

    Raises
    ------
    BadInputError
        It is none of these, or its values are not brightnesses.
    """
    if isinstance(item, Image.Image):
        if not item.mode.startswith(_DEEP):
            return item
        return Image.fromarray(_eight_bits(np.asarray(item), name))
    if isinstance(item, Tensor):
        values = item.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return _eight_bits(_planes(values.numpy(), name, first=True), name)
    if isinstance(item, np.ndarray):
        return _eight_bits(_planes(item, name, first=False), name)
    raise BadInputError(f"{name} is a {type(item).__name__}; expected a PIL image, a tensor or an array")


def _planes(values: np.ndarray, name: str, first: bool) -> np.ndarray:
    """Channels first. Arrays have them last, as PIL's do, unless only the first dimension can be channels."""
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3 or not values.size:
        shape = "x".join(map(str, values.shape))
        raise BadInputError(f"{name} has the shape {shape}; expected one image, as 3x64x64")
    if first or values.shape[0] < min(values.shape[1:]):
        return values
    return np.moveaxis(values, -1, 0)


def _eight_bits(values: np.ndarray, name: str) -> np.ndarray:
    """Scaled, not clipped: white is the type's maximum, else the least of 1, 255 and 65535 that fits."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    whites = [1, 255, 65535] if values.dtype.kind == "f" else [255, 65535]
    whites = whites[-1:] if values.dtype.str[1:] == "u2" else whites
    least, most = float(values.min()), float(values.max())
    fitting = [white for white in whites if most <= white * (1 + _SLACK)]
    if not fitting or not least >= -_SLACK * fitting[0]:
        raise BadInputError(
            f"{name} has values from {least:g} to {most:g}; expected brightnesses of 0-1, 0-255 or 16 bits, "
            "as they are before any standardising (which this program does itself)"
        )
    scaled = values.astype(np.float32) * (255 / fitting[0])
    return scaled.round().clip(0, 255).astype(np.uint8)


def fitted(image: Picture, size: int | tuple[int, int], channels: int) -> Tensor:
    """Bytes (channels, height, width): resized to slightly more than `size`, then centre-cropped.

    Raises
    ------
    BadInputError
        The image has other channels, and cannot be converted to grey or RGB.
    """
    height, width = sides(size)
    if channels in COLOURS:
        plain = _pil(image).convert("L" if channels == 1 else "RGB")
        return transforms.pil_to_tensor(
            transforms.center_crop(_covering(plain, height, width), [height, width])
        )
    planes = transforms.pil_to_tensor(image) if isinstance(image, Image.Image) else torch.tensor(image)
    if len(planes) != channels:
        raise _other_channels(len(planes), channels)
    return transforms.center_crop(_covering(planes, height, width), [height, width])


def _pil(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if len(image) > 4:
        raise _other_channels(len(image), 3)
    last = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    return Image.fromarray(last[..., 0] if len(image) == 1 else last)


def _other_channels(found: int, wanted: int) -> BadInputError:
    return BadInputError(
        f"an image has {found} channels and the network takes {wanted}; give images of its own channels, "
        "or the network's in `input_size`, as 4x64x64"
    )


def needed(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width that an image must cover before the centre crop."""
    height, width = sides(size)
    return round(height * _RESIZE), round(width * _RESIZE)


def steps(size: tuple[int, int]) -> dict[str, list[int]]:
    """What `fitted` does as plain data: height and width to cover, and of the middle that is left."""
    return {"resize_to_cover": list(needed(size)), "center_crop": list(size)}


def _covering(image: Any, height: int, width: int) -> Any:
    """An image or tensor, resized to the smallest size of its proportions that covers what is needed."""
    least_height, least_width = needed((height, width))
    if height == width:
        return transforms.resize(image, [least_height], antialias=True)
    _, own_height, own_width = transforms.get_dimensions(image)
    scale = max(least_height / own_height, least_width / own_width)
    covering = [max(least_height, round(own_height * scale)), max(least_width, round(own_width * scale))]
    return transforms.resize(image, covering, antialias=True)
