"""Images made larger or smaller."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.onnx_input.step import Step, operation
from training.onnx_input.values import SIZE_DEPENDENT, RefusedError, Value, axes_of

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_CENTRED = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")


class _Target:
    """What each spatial axis becomes: a scale, or a size.

    Attributes
    ----------
    sizes : of each axis, in each run
    scales : of each axis, in each run
    asked : the scales that the file gives, None where it gives sizes
    """

    def __init__(self, step: Step) -> None:
        x = step.x
        given = _scales(step)
        axes = axes_of(step.attr("axes", list(range(x.rank))), x.rank)
        if given is not None:
            by_axis = dict(zip(axes, given, strict=True))
            scales = [by_axis.get(axis, 1.0) for axis in range(x.rank)]
            if scales[:2] != [1.0, 1.0]:
                raise RefusedError("it resizes images and channels, not only height and width")
            self.asked: list[float] | None = scales[2:]
            self.sizes = [
                tuple(int(np.floor(np.float32(side) * np.float32(scale))) for side in sides)
                for sides, scale in zip(x.sides[2:], scales[2:], strict=True)
            ]
            self.scales = [
                (scale,) * len(sides) for sides, scale in zip(x.sides[2:], scales[2:], strict=True)
            ]
            return
        wanted = step.input(3)
        if not wanted.known:
            raise RefusedError("its sizes are computed from the image; they must be constant")
        columns = dict(
            zip(axes, zip(*(s.flatten().tolist() for s in wanted.samples), strict=True), strict=True)
        )
        self.asked, self.origins = None, wanted.origins
        self.sizes = [columns.get(axis, x.sides[axis]) for axis in range(2, x.rank)]
        self.scales = [
            tuple(new / old for new, old in zip(news, olds, strict=True))
            for news, olds in zip(self.sizes, x.sides[2:], strict=True)
        ]

    def options(self, step: Step) -> dict[str, object]:
        """How torch's functions take it."""
        if self.asked is not None:
            return {"scale_factor": tuple(self.asked)}
        return {"size": tuple(step.express(size, [*self.origins, step.x]) for size in self.sizes)}


def _scales(step: Step) -> list[float] | None:
    if step.has("scales"):
        return list(step.attr("scales"))
    index = 1 if step.op == "Upsample" or step.opset < 11 else 2
    value = step.given(index)
    if value is None or value.samples[0].numel() == 0:
        return None
    return [float(v) for v in step.constant(index, "scales")]


@operation("Resize", "Upsample")
def resize(step: Step) -> Value:
    if step.attr("antialias", 0) or step.attr("exclude_outside", 0):
        raise RefusedError("it smooths while it makes smaller, which is not supported")
    if step.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusedError("it keeps the aspect ratio, which is not supported")
    target, mode = _Target(step), step.attr("mode", "nearest")
    old = step.op == "Upsample" or step.opset < 11
    place = "asymmetric" if old else step.attr("coordinate_transformation_mode", "half_pixel")
    if [tuple(s) for s in target.sizes] == step.x.sides[2:]:
        return step.x
    if mode == "nearest":
        return _nearest(
            step, target, place, "floor" if old else step.attr("nearest_mode", "round_prefer_floor")
        )
    return _smooth(step, target, place, mode)


def _smooth(step: Step, target: _Target, place: str, mode: str) -> Value:
    rank = step.x.rank - 2
    if mode == "cubic" and (rank != 2 or abs(step.attr("cubic_coeff_a", -0.75) + 0.75) > 1e-6):
        raise RefusedError("torch has no such cubic interpolation")
    if place == "pytorch_half_pixel" and any(1 in sizes for sizes in target.sizes):
        raise RefusedError("torch places a single pixel differently")
    if place not in (*_CENTRED, "align_corners"):
        raise RefusedError(f"torch has no {mode} interpolation with the coordinates {place!r}")
    corners, options = place == "align_corners", target.options(step)
    kind = "bicubic" if mode == "cubic" else _LINEAR[rank]
    if "scale_factor" in options:
        return step.call(nn.Upsample(mode=kind, align_corners=corners, **options), step.x)  # type: ignore[arg-type]
    return step.call(functional.interpolate, step.x, mode=kind, align_corners=corners, **options)


def _nearest(step: Step, target: _Target, place: str, rounding: str) -> Value:
    """Torch's own functions where they read the same pixels, else the pixels one by one."""
    x = step.x
    wanted = [
        [_read(new, old, scale, place, rounding) for new, old, scale in zip(*axis, strict=True)]
        for axis in zip(target.sizes, x.sides[2:], target.scales, strict=True)
    ]
    for mode, (its_place, its_rounding) in _OURS.items():
        ours = [
            [_read(new, old, scale, its_place, its_rounding) for new, old, scale in zip(*axis, strict=True)]
            for axis in zip(target.sizes, x.sides[2:], target.scales, strict=True)
        ]
        if ours == wanted:
            options = target.options(step)
            if "scale_factor" in options:
                return step.call(nn.Upsample(mode=mode, **options), x)  # type: ignore[arg-type]
            return step.call(functional.interpolate, x, mode=mode, **options)
    for axis, pixels in enumerate(wanted, start=2):
        if any(run != pixels[0] for run in pixels):
            raise RefusedError(SIZE_DEPENDENT)
        index = step.known([torch.tensor(pixels[0])] * len(step.runs))
        x = step.call(torch.index_select, x, axis, index)
    return x


_OURS = {"nearest": ("asymmetric", "floor"), "nearest-exact": ("half_pixel", "round_prefer_ceil")}


def _read(new: int, old: int, scale: float, place: str, rounding: str) -> list[int]:
    """Which pixel each of the new ones is read from."""
    at = np.arange(new, dtype=np.float64)
    match place:
        case "asymmetric":
            at = at / scale
        case "align_corners":
            at = at * (old - 1) / max(new - 1, 1)
        case "tf_half_pixel_for_nn":
            at = (at + 0.5) / scale
        case "half_pixel" | "half_pixel_symmetric":
            at = (at + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            at = (at + 0.5) / scale - 0.5 if new > 1 else at * 0
        case _:
            raise RefusedError(f"the coordinates {place!r} are not supported")
    match rounding:
        case "floor":
            pixels = np.floor(at)
        case "ceil":
            pixels = np.ceil(at)
        case "round_prefer_ceil":
            pixels = np.floor(at + 0.5)
        case _:
            pixels = np.ceil(at - 0.5)
    return [int(p) for p in pixels.clip(0, old - 1)]
