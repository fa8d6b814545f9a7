"""Walks the nodes of an ONNX graph and builds a torch network from them."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, fx, nn

from training.errors import BadInputError
from training.onnx_input import operations
from training.onnx_input.loading import OnnxFile
from training.onnx_input.names import Names
from training.onnx_input.sizes import Sizes
from training.onnx_input.step import TABLE, Step
from training.onnx_input.values import RefusedError, Size, Value

operations.load()


class Builder:
    """One network on its way from ONNX to torch."""

    def __init__(self, file: OnnxFile, runs: Sequence[tuple[int, int, int]]) -> None:
        """Begin with the image.

        Parameters
        ----------
        runs : batch, height and width of each sample run
        """
        self.file, self.graph, self.names = file, fx.Graph(), Names()
        self.sizes = Sizes(self.graph)
        self._root = nn.Module()
        samples = tuple(torch.empty(b, file.channels, h, w, device="meta") for b, h, w in runs)
        image = self.graph.placeholder(self.names.own(file.input.replace(".", "_")))
        self.image = Value(file.input, samples, image)
        self._attributes: dict[Value, fx.Node] = {}

    def build(self) -> fx.GraphModule:
        """The network.

        Raises
        ------
        BadInputError
            A node cannot be read; the message names it and says why.
        """
        values: dict[str, Value | None] = {"": None, self.file.input: self.image}
        outputs = self._run(self.file.model.graph, values)
        if not outputs or any(value.known for value in outputs):
            raise BadInputError(f"{self.file.short} gives an output that does not depend on the image")
        nodes = tuple(value.node for value in outputs)
        self.graph.output(nodes[0] if len(nodes) == 1 else nodes)
        network = fx.GraphModule(self._root, self.graph, class_name="OnnxNetwork")
        network.graph.eliminate_dead_code()
        network.delete_all_unused_submodules()
        network.recompile()
        return network.eval()

    def _run(self, graph: onnx.GraphProto, values: dict[str, Value | None]) -> list[Value]:
        """Read a graph's nodes in their order; its outputs."""
        for tensor in graph.initializer:
            values[tensor.name] = self._constant(tensor)
        for node in graph.node:
            try:
                results = self._read(node, values)
            except BadInputError:
                raise
            except Exception as error:  # whatever a broken or unusual node makes torch say
                raise BadInputError(self._sentence(node, error)) from error
            values.update(zip(node.output, results, strict=False))
        found = [values.get(output.name) for output in graph.output]
        if None in found:
            lost = graph.output[found.index(None)].name
            raise BadInputError(
                f"{self.file.short} cannot be read: its output {lost!r} is computed by no node"
            )
        return [value for value in found if value is not None]

    def _read(self, node: onnx.NodeProto, values: dict[str, Value | None]) -> Sequence[Value]:
        missing = [name for name in node.input if name not in values]
        if missing:
            raise RefusedError(
                f"its input {missing[0]!r} is a side result, as the places of maxima, or computed by no node"
            )
        step = Step(self, node, [values[name] for name in node.input])
        if node.op_type == "If":
            chosen = "then_branch" if bool(step.constant(0, "conditions")) else "else_branch"
            branch = next(a.g for a in node.attribute if a.name == chosen)
            return self._run(branch, dict(values))
        if node.op_type not in TABLE:
            raise RefusedError(operations.why_not(node.op_type))
        made = TABLE[node.op_type](step)
        return [made] if isinstance(made, Value) else made

    def _sentence(self, node: onnx.NodeProto, error: Exception) -> str:
        reason = (
            str(error)
            if isinstance(error, RefusedError)
            else f"torch says {' '.join(str(error).split())[:160]!r}"
        )
        label = node.name or next(filter(None, node.output), "")
        return f"{self.file.short} cannot be read: operation {node.op_type} (node {label!r}): {reason}"

    def tensor(self, proto: onnx.TensorProto) -> Tensor:
        """A weight as torch has it."""
        array = onnx.numpy_helper.to_array(proto)
        try:
            return torch.from_numpy(np.array(array))
        except TypeError as error:
            raise RefusedError(f"torch has no numbers of the type {array.dtype}") from error

    def _constant(self, proto: onnx.TensorProto) -> Value:
        try:
            return Value(proto.name, (self.tensor(proto),) * len(self.image.samples))
        except Exception as error:  # onnx raises errors of many kinds
            raise BadInputError(
                f"{self.file.short} cannot be read: its weight {proto.name!r} is damaged or of an odd type "
                f"({str(error)[:120]}); write the file again"
            ) from error

    def call(
        self,
        node: onnx.NodeProto,
        function: Callable[..., Any] | nn.Module,
        args: Any,
        kwargs: Any,
        weights: Mapping[str, Tensor | None] | None = None,
    ) -> Value:
        """Call a layer or a function; what is known is computed at once, the rest becomes a node."""
        found = list(_values_in((args, kwargs)))
        name = next(filter(None, node.output), node.op_type)
        if isinstance(function, nn.Module):
            function.eval()
        if all(value.known for value in found):
            _fill(function, weights or {})
            origins = tuple(dict.fromkeys(o for value in found for o in value.origins))
            return Value(name, self._evaluate(function, args, kwargs, bool(origins)), None, origins)
        samples = self._evaluate(function, args, kwargs, True, "meta")
        _fill(function, weights or {})
        return Value(name, samples, self._emit(node, function, args, kwargs))

    def parts(
        self, node: onnx.NodeProto, count: int, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> list[Value]:
        """Call a function that gives several values."""
        whole = self.call(node, function, args, kwargs)
        parts = []
        for index in range(count):
            samples = tuple(s[index] for s in whole.samples)
            target = None
            if whole.node is not None:
                target = self.graph.call_function(operator.getitem, (whole.node, index))
            parts.append(Value(f"{whole.name}_{index}", samples, target, whole.origins))
        return parts

    def _evaluate(
        self, function: Callable[..., Any], args: Any, kwargs: Any, differ: bool, device: str = "cpu"
    ) -> tuple[Tensor, ...]:
        def once(run: int) -> Tensor:
            def fill(leaf: Any) -> Any:
                if isinstance(leaf, Value):
                    return leaf.samples[run].to(device)
                return leaf.samples[run] if isinstance(leaf, Size) else leaf

            result: Tensor = function(
                *fx.node.map_aggregate(args, fill),
                **fx.node.map_aggregate(kwargs, fill),
            )
            return result

        count = len(self.image.samples)
        with torch.no_grad():
            return tuple(once(run) for run in range(count)) if differ else (once(0),) * count

    def _emit(
        self, node: onnx.NodeProto, function: Callable[..., Any] | nn.Module, args: Any, kwargs: Any
    ) -> fx.Node:
        def fill(leaf: Any) -> Any:
            if isinstance(leaf, Value):
                return leaf.node if leaf.node is not None else self._attribute(leaf)
            return leaf.node if isinstance(leaf, Size) else leaf

        inputs: Any = fx.node.map_aggregate(args, fill)
        options: Any = fx.node.map_aggregate(kwargs, fill)
        path = self.names.path(node)
        if isinstance(function, nn.Module):
            _place(self._root, path, function)
            return self.graph.call_module(path, inputs, options)
        return self.graph.create_node("call_function", function, inputs, options, path.replace(".", "_"))

    def _attribute(self, value: Value) -> fx.Node:
        """A constant as a weight of the network, once."""
        if value not in self._attributes:
            constant = value.constant
            if constant is None:
                constant = value.of_each_image([len(image) for image in self.image.samples])
            if constant is None:
                raise RefusedError("it computes with the size of the image")
            path = self.names.own(value.name.replace(".", "_"))
            own = constant.detach().clone()
            if own.is_floating_point():
                self._root.register_parameter(path, nn.Parameter(own))
            else:
                self._root.register_buffer(path, own)
            self._attributes[value] = self.graph.get_attr(path)
        return self._attributes[value]


def _values_in(tree: Any) -> Iterable[Value]:
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, Mapping):
        yield from _values_in(list(tree.values()))
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _values_in(branch)


def _fill(function: Callable[..., Any] | nn.Module, weights: Mapping[str, Tensor | None]) -> None:
    """Give a layer that was made on the meta device its weights.

    Each is a copy: nodes may share a weight, layers in saved files may not.
    """
    for name, tensor in weights.items():
        if tensor is None:
            continue
        own = tensor.detach().clone()
        buffer = name in dict(function.named_buffers())  # type: ignore[union-attr]
        setattr(function, name, own if buffer else nn.Parameter(own))
    if isinstance(function, nn.Module):
        for name, value in function.named_buffers():
            if value.is_meta:
                setattr(function, name, torch.zeros_like(value, device="cpu"))


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Set a submodule, with the modules above it."""
    *above, last = path.split(".")
    for part in above:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)
