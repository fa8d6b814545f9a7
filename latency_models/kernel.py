"""The unit of latency: what a runtime really executes after its own fusions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """One operation with everything that decides its time, for one image.

    Attributes
    ----------
    op : ``conv``, ``linear``, ``maxpool``, ``avgpool``, ``lrn``, ``relu``, ``add``, ``concat`` and others of
        which the fields here say everything; for the rest `details` does
    in_shape, out_shape : (channels, height, width); vectors are (features, 1, 1)
    window, stride, padding, dilation : (height, width); LRN's window is its number of channels
    groups : of a convolution
    activation : fused into the kernel by the runtime, empty where there is none
    parts : channels of each input of a concatenation
    details : layer or function, arguments and full shapes, where the other fields do not say everything
    model : makes the ONNX model of such an operation alone; no part of what the kernel is
    work : its multiply-accumulates and parameters, where it is neither convolution nor fully connected layer
    """

    op: str
    in_shape: Shape
    out_shape: Shape
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: str = ""
    parts: tuple[int, ...] = ()
    details: str = ""
    model: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)
    work: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)

    @property
    def key(self) -> str:
        """A readable name that is different for different kernels, e.g. ``conv 3x224x224 ...``."""
        words = [self.op, _by(self.in_shape), "->", _by(self.out_shape)]
        if self.details:
            return " ".join([*words, self.details])
        if self.op not in ("relu", "add", "concat", "dropout", "linear", "softmax"):
            words += [f"k{_by(self.window)}", f"s{_by(self.stride)}", f"p{_by(self.padding)}"]
        if self.dilation != (1, 1):
            words.append(f"d{_by(self.dilation)}")
        if self.groups > 1:
            words.append(f"g{self.groups}")
        if self.parts:
            words.append("of " + "+".join(map(str, self.parts)))
        if self.activation:
            words.append(f"+{self.activation}")
        return " ".join(words)

    @property
    def end_padding(self) -> tuple[int, int]:
        """Padding below and to the right: what the output size asks for (more where pooling rounds up)."""
        sides = zip(self.in_shape[1:], self.out_shape[1:], strict=True)
        bottom, right = (
            max(
                0,
                (o - 1) * self.stride[i] + (self.window[i] - 1) * self.dilation[i] + 1 - n - self.padding[i],
            )
            for i, (n, o) in enumerate(sides)
        )
        return bottom, right

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of convolutions and fully connected layers."""
        if self.op not in ("conv", "linear"):
            return self.work[0]
        return math.prod(self.out_shape) * self.taps

    @property
    def taps(self) -> int:
        """Inputs that one output value is a weighted sum of."""
        return self.in_shape[0] // self.groups * math.prod(self.window)

    @property
    def parameters(self) -> int:
        """Weights and biases of convolutions and fully connected layers."""
        if self.op not in ("conv", "linear"):
            return self.work[1]
        return self.out_shape[0] * (self.taps + 1)

    @property
    def touched_bytes(self) -> int:
        """What timing it alone touches: weights, and maps with the copies that feed it and read it.

        Its input is given, written afresh and put into the runtime's layout.
        """
        maps = 3 * math.prod(self.in_shape) + 2 * math.prod(self.out_shape)
        return 4 * (self.parameters + maps)

    def to_row(self) -> dict[str, Any]:
        """Flat values for a table's row."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.compare}
        row = {k: _by(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return row if self.details else {k: v for k, v in row.items() if k != "details"}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Kernel":
        """Inverse of `to_row`; other columns are ignored."""
        tuples = ("in_shape", "out_shape", "window", "stride", "padding", "dilation", "parts")
        values: dict[str, Any] = {name: _numbers(row[name]) for name in tuples}
        activation = row["activation"] if isinstance(row["activation"], str) else ""
        details = row.get("details")
        return cls(
            op=str(row["op"]),
            groups=int(row["groups"]),
            activation=activation,
            details=details if isinstance(details, str) else "",
            **values,
        )


@dataclass(frozen=True)
class Layer:
    """A kernel in its network: its name and the names of the layers that it reads."""

    name: str
    kernel: Kernel
    inputs: tuple[str, ...]

    def reading(self, inputs: tuple[str, ...]) -> "Layer":
        """The same layer with these inputs (plans are listed by the thousand: most stay as they are)."""
        return self if inputs == self.inputs else replace(self, inputs=inputs)


def _by(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))


def _numbers(text: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in str(text).split("x")) if isinstance(text, str) and text else ()
