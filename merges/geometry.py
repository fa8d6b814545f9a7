"""Windows of convolutions and poolings: what an output pixel sees, and the padding that keeps sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from merges.sizes import sides

POOLS = (nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Window:
    """Geometry of a chain along one side: what one output pixel sees, and how far apart they are."""

    kernel: int
    stride: int
    start: int  # offset of the first window's first pixel: minus the padding

    def then(self, kernel: int, stride: int, padding: int) -> "Window":
        return Window(
            self.kernel + (kernel - 1) * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )


def window_of(layers: Sequence[nn.Module | None]) -> Window | None:
    """The window of a whole chain, or None where a kernel or stride is not square or is dilated."""
    window = Window(1, 1, 0)
    for module in layers:
        if not isinstance(module, (nn.Conv2d, *POOLS)):
            continue
        if isinstance(module.padding, str) or getattr(module, "padding_mode", "zeros") != "zeros":
            return None
        if sides(getattr(module, "dilation", 1)) != (1, 1):
            return None
        pairs = [sides(v) for v in (module.kernel_size, module.stride, module.padding)]
        if any(a != b for a, b in pairs):
            return None
        window = window.then(*(a for a, _ in pairs))
    return window


def padding_for(window: Window, kernel: int, source: tuple[int, ...], target: tuple[int, ...]) -> int | None:
    """The symmetric padding that gives the chain's output size, closest to its true alignment.

    A kernel smaller than the window sits in the window's middle. Rounding up in pooling can ask
    for more on one side than on the other; runtimes differ there, so the nearest symmetric
    padding is taken and learning absorbs the shift of a pixel.
    """
    ideal = -window.start - (window.kernel - kernel) // 2
    candidates = [
        p
        for p in range(kernel)
        if all((h + 2 * p - kernel) // window.stride + 1 == o for h, o in zip(source, target, strict=True))
    ]
    return min(candidates, key=lambda p: abs(p - ideal), default=None)
