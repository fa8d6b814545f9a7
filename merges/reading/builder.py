"""The canonical graph while it is built: layers, functions and constants under names of its own."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.functions import for_each_image
from merges.graph import fresh_name

Sizes = tuple[int | str, ...]  # of a tensor; a text is the number of images, or what depends on it
Made = Any  # an fx.Node, a constant Tensor, or a tuple of these and None
Handler = Callable[..., Made]
HANDLERS: dict[str, Handler] = {}
_CALL_NUMBER = re.compile(r"@\d+")  # of a layer that is called more than once
_SHORT = {
    "native_batch_norm_legit_no_training": "norm",
    "batch_norm": "norm",
    "conv2d": "conv",
    "max_pool2d": "pool",
    "rrelu_with_noise_functional": "rrelu",
}


class Unsupported(Exception):  # noqa: N818 (it never leaves this package)
    """An exported operation cannot be a node of the canonical graph; the message says why."""


def handles(*operations: str) -> Callable[[Handler], Handler]:
    """Enter a function into the table under the names of ATen operations (without ``aten.``).

    It is called with the builder and the operation's arguments by their schema's names.
    """

    def enter(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operations, handler))
        return handler

    return enter


def own(*weights: Any) -> None:
    """Refuse weights that are not the network's own."""
    if any(isinstance(weight, fx.Node) for weight in weights):
        raise Unsupported("its weights are worked out from the image")


def each_side(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each of so many sides."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


class Builder:
    """Adds nodes for one exported operation after the other (`origin` is the one at hand)."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.made = fx.GraphModule(nn.Module(), fx.Graph())
        self.images = self._node("placeholder", "image", ())
        self.origin: fx.Node | None = None
        self._trained = {id(parameter) for parameter in parameters}
        self._kept: dict[int, tuple[Tensor, nn.Parameter | Tensor]] = {}
        self._layers: dict[tuple[Any, ...], str] = {}
        self._constants: dict[int, fx.Node] = {}

    @property
    def operation(self) -> str:
        """The exported operation at hand, as ``conv2d.default``."""
        return "" if self.origin is None else str(self.origin.target).removeprefix("aten.")

    def sizes(self, value: fx.Node | Tensor) -> Sizes:
        """The sizes of a value."""
        if isinstance(value, Tensor):
            return tuple(value.shape)
        sizes: Sizes = value.meta["sizes"]
        return sizes

    def is_batch(self, value: fx.Node | Tensor, dim: int) -> bool:
        """Whether a dimension counts images."""
        return isinstance(self.sizes(value)[dim], str)

    def answer_sizes(self, index: int | None = None) -> Sizes:
        """The sizes of what the operation at hand gives (of one of its answers)."""
        assert self.origin is not None
        value = self.origin.meta["val"]
        return sizes_of(value if index is None else value[index])

    def layer(self, module: nn.Module, *inputs: fx.Node) -> fx.Node:
        """A call of a layer; a layer with the same weights and options as an earlier one is that one."""
        own = {id(kept) for _, kept in self._kept.values()}
        weights = tuple(id(v) for v in (*module.parameters(), *module.buffers()) if id(v) in own)
        key = (type(module), module.extra_repr(), weights)
        node = self._node("call_module", self._hint(), inputs)
        if weights and key in self._layers:
            node.target = self._layers[key]
            return node
        node.target = self._layers[key] = node.name
        self.made.add_submodule(node.name, module.eval())
        node.meta["weighted"] = bool(weights)
        return node

    def filled(self, module: nn.Module, **weights: Tensor | None) -> nn.Module:
        """A layer with these weights in the place of its own; parts that are None stay as they are."""
        for name, value in weights.items():
            if value is not None:
                setattr(module, name, (self.buffer if name.startswith("running_") else self.parameter)(value))
        return module

    def function(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """A call of a function; constants among its arguments become nodes."""
        return self._node("call_function", self._hint(), args, kwargs, function)

    def operand(self, value: Any) -> Any:
        """A value as an argument of a function: constants of no dimension are numbers, others nodes."""
        if not isinstance(value, Tensor):
            return value
        if value.ndim == 0:
            return value.item()
        if id(value) not in self._constants:
            name = fresh_name(self.made, "constant")
            kept = self.parameter(value) if id(value) in self._trained else self.buffer(value)
            if isinstance(kept, nn.Parameter):
                self.made.register_parameter(name, kept)
            else:
                self.made.register_buffer(name, kept)
            with self.made.graph.inserting_after(self.images):
                node = self.made.graph.create_node("get_attr", name, name=name)
            node.meta |= {"sizes": tuple(value.shape), "origin": None}
            self._constants[id(value)] = node
        return self._constants[id(value)]

    def for_each_image(self, value: Any) -> Any:
        """An operand that has as many images as the input, also where it is a constant of one."""
        if not isinstance(value, Tensor):
            return value
        spread = self.function(for_each_image, self.operand(value), self.images)
        spread.meta["sizes"] = (self.sizes(self.images)[0], *value.shape[1:])
        return spread

    def padded(self, source: fx.Node, pads: Sequence[tuple[int, int]], value: float = 0.0) -> fx.Node:
        """A node's maps with constants around them: (before, after) for each side, height first."""
        flat = [number for pair in reversed(pads) for number in pair]
        return self.function(nn.functional.pad, source, flat, "constant", value)

    def parameter(self, value: Tensor) -> nn.Parameter:
        """A parameter of the graph's own; the same one for the same tensor."""
        if id(value) not in self._kept:
            copy = value.detach().clone(memory_format=torch.contiguous_format)
            self._kept[id(value)] = value, nn.Parameter(copy)
        kept = self._kept[id(value)][1]
        return kept if isinstance(kept, nn.Parameter) else nn.Parameter(kept)

    def buffer(self, value: Tensor) -> Tensor:
        """A buffer of the graph's own; the same one for the same tensor."""
        if id(value) not in self._kept:
            self._kept[id(value)] = value, value.detach().clone()
        kept = self._kept[id(value)][1]
        return kept.detach() if isinstance(kept, nn.Parameter) else kept

    def _hint(self) -> str:
        assert self.origin is not None
        return f"{path_of(self.origin)}_{verb_of(self.origin)}".lstrip("_")

    def _node(self, op: str, hint: str, args: Any, kwargs: Any = None, target: Any = "") -> fx.Node:
        name = fresh_name(self.made, hint)
        node = self.made.graph.create_node(op, target or name, args, kwargs or {}, name=name)
        node.target = target or node.name
        node.meta["origin"] = self.origin if op != "placeholder" else None
        return node


def path_of(origin: fx.Node) -> str:
    """The layer of the user's network that called an exported operation; empty for the network itself."""
    stack = origin.meta.get("nn_module_stack") or {}
    path: str = next(reversed(stack.values()), ("", ""))[0]
    return _CALL_NUMBER.sub("", path)


def verb_of(origin: fx.Node) -> str:
    """A short name of what an exported operation does."""
    name = str(origin.target).removeprefix("aten.").split(".")[0].strip("_")
    return _SHORT.get(name, name)


def sizes_of(value: Any) -> Sizes:
    """The sizes of an exported value."""
    return tuple(size if isinstance(size, int) else str(size.node.expr) for size in value.shape)
