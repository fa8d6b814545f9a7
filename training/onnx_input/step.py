"""One node of an ONNX graph, as its operation in the table sees it, and the table."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import onnx
from torch import Tensor, nn

from training.onnx_input.values import SIZE_DEPENDENT, RefusedError, Size, Value

if TYPE_CHECKING:
    from training.onnx_input.builder import Builder

Operation = Callable[["Step"], "Value | Sequence[Value]"]
TABLE: dict[str, Operation] = {}


def operation(*names: str) -> Callable[[Operation], Operation]:
    """Enter a function into the table under the names of the ONNX operations that it reads."""

    def enter(function: Operation) -> Operation:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return enter


class Step:
    """A node's attributes and inputs, and `call`, by which it becomes torch.

    Attributes
    ----------
    op : the ONNX operation
    opset : version of the operations in the file
    batch : images of one run of the file, where that is fixed; else 1
    outputs : how many outputs the node has
    runs : the numbers of the sample runs
    """

    def __init__(self, builder: "Builder", node: onnx.NodeProto, inputs: list[Value | None]) -> None:
        self.op, self.opset, self.batch = node.op_type, builder.file.opset, builder.file.batch or 1
        self.outputs = sum(bool(name) for name in node.output)
        self.runs = range(len(builder.image.samples))
        self._builder, self._node, self._inputs = builder, node, inputs
        self._attributes = {a.name: a for a in node.attribute}

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute; text as str, a tensor as torch has it."""
        if name not in self._attributes:
            return default
        value = onnx.helper.get_attribute_value(self._attributes[name])
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, onnx.TensorProto):
            return self._builder.tensor(value)
        return value if isinstance(value, int | float | str) else list(value)

    def has(self, name: str) -> bool:
        """Whether the node has the attribute."""
        return name in self._attributes

    def given(self, index: int) -> Value | None:
        """An input, None where it is left out."""
        return self._inputs[index] if index < len(self._inputs) else None

    def own(self, numbers: int, run: int) -> int:
        """How many numbers one run of the file has where a sample run has so many."""
        images = len(self._builder.image.samples[run])
        return numbers * (self._builder.file.batch or images) // images

    @property
    def x(self) -> Value:
        """The first input.

        Raises
        ------
        RefusedError
            There is none.
        """
        return self.input(0)

    def input(self, index: int) -> Value:
        """An input that must be there.

        Raises
        ------
        RefusedError
            It is not.
        """
        value = self.given(index)
        if value is None:
            raise RefusedError(f"its input {index + 1} is missing")
        return value

    @property
    def inputs(self) -> list[Value]:
        """All inputs that are there."""
        return [value for value in self._inputs if value is not None]

    def constant(self, index: int, what: str) -> Tensor:
        """An input that must be constant.

        Raises
        ------
        RefusedError
            It is computed from the image, or depends on its size.
        """
        value = self.input(index)
        if not value.known:
            raise RefusedError(f"its {what} are computed from the image; they must be constant")
        constant = value.constant
        if constant is None:
            raise RefusedError(SIZE_DEPENDENT)
        return constant

    def ints(self, name: str, index: int | None, default: list[int] | None = None) -> list[int] | None:
        """Integers that are an attribute in old opsets and an input in new ones."""
        if self.has(name):
            return [int(v) for v in self.attr(name)]
        if index is None or self.given(index) is None:
            return default
        return [int(v) for v in self.constant(index, name).flatten()]

    def call(self, function: Callable[..., Any] | nn.Module, *args: Any, **kwargs: Any) -> Value:
        """Call a layer or a function on values; known values are computed at once."""
        return self._builder.call(self._node, function, args, kwargs)

    def layer(self, module: nn.Module, x: Value, **weights: Tensor | None) -> Value:
        """Call a layer that was made on the meta device (no random weights are drawn), with its weights."""
        return self._builder.call(self._node, module, (x,), {}, weights)

    def parts(self, count: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Value]:
        """Call a function that gives several values."""
        return self._builder.parts(self._node, count, function, args, kwargs)

    def known(self, samples: Sequence[Tensor], origins: Sequence[Value] = ()) -> Value:
        """A value that needs no computing when the network runs."""
        return Value(self._node.output[0], tuple(samples), None, tuple(origins))

    def size(self, value: Value, axis: int) -> "int | Size":
        """A side of a tensor, computed when the network runs where it is free."""
        return self._builder.sizes.of(value, axis)

    def express(self, samples: Sequence[int], near: Sequence[Value]) -> "int | Size":
        """An integer with these values in the runs, computed from the sides of some tensors.

        Raises
        ------
        RefusedError
            It is no product of their sides.
        """
        return self._builder.sizes.express(tuple(samples), near)
