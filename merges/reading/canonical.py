"""From an exported program to the canonical graph: one operation after the other."""

import importlib
import operator
import pkgutil
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from merges.graph import TraceError, tidy
from merges.reading import operations
from merges.reading.builder import HANDLERS, Builder, Made, Unsupported, sizes_of, verb_of
from merges.reading.exported import constants_of, in_precision, place_of
from merges.reading.labels import label_nodes
from merges.reading.simplify import simplify
from merges.reading.written_out import written_out

for _table in pkgutil.iter_modules(operations.__path__):  # importing a table enters it into HANDLERS
    importlib.import_module(f"{operations.__name__}.{_table.name}")


def canonical(
    name: str, program: ExportedProgram, model: nn.Module, precision: torch.dtype = torch.float32
) -> fx.GraphModule:
    """The graph of known layers and functions that computes what an exported network does.

    What depends on parameters alone is computed once, in the `precision` that the graph is to have. ``meta``
    of every node has ``label``, the name that people know it by, ``origin``, the name of the operation whose
    value it has, and ``per_image``, whether its first dimension, and no other, counts the images.

    Raises
    ------
    TraceError
        An operation is unknown, or does what a graph of layers cannot; it is named with its place in the
        user's file.
    """
    walk = _Walk(name, program, precision)
    for node in _needed(program):
        walk.step(node)
    made = walk.builder.made
    made.graph.output(_as_called(program, [walk.answer(value) for value in _returned(program)]))
    if not next(node for node in made.graph.nodes if node.op == "output").all_input_nodes:
        raise TraceError(f"{name} answers with no tensor that depends on the image")
    simplify(made)
    written_out(made)
    label_nodes(made, model)
    tidy(made)
    return made.eval()


def _returned(program: ExportedProgram) -> list[Any]:
    """What the user's network returns (an image that it writes into is no answer), in order."""
    returned = next(node for node in program.graph.nodes if node.op == "output").args[0]
    kinds = (spec.kind for spec in program.graph_signature.output_specs)
    return [value for value, kind in zip(returned, kinds, strict=True) if kind is OutputKind.USER_OUTPUT]


def _needed(program: ExportedProgram) -> list[fx.Node]:
    """The operations that lead to an answer, in order."""
    graph, waiting = program.graph, [value for value in _returned(program) if isinstance(value, fx.Node)]
    needed: set[fx.Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    return [node for node in graph.nodes if node in needed and node.op == "call_function"]


def _as_called(program: ExportedProgram, answers: list[Any]) -> Any:
    """The answers in the containers in which the network returns them; records of its own become tuples."""
    assert program.call_spec.out_spec is not None
    plain: Any = pytree.tree_unflatten(answers, program.call_spec.out_spec)
    return plain if isinstance(plain, (fx.Node, dict, list)) or type(plain) is tuple else tuple(answers)


class _Walk:
    """What every exported operation has become so far."""

    def __init__(self, name: str, program: ExportedProgram, precision: torch.dtype) -> None:
        self.name, self.program = name, program
        self.in_precision = partial(in_precision, precision=precision)
        constants = pytree.tree_map_only(Tensor, self.in_precision, constants_of(program))
        self.builder = Builder([value for value in constants.values() if isinstance(value, nn.Parameter)])
        self.values: dict[fx.Node, Made] = {}
        self.known: dict[Any, Made] = {}  # constants that were worked out, so that equal ones are one
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in constants:
                self.values[node] = constants[node.name]
            elif node.op == "placeholder" and isinstance(node.meta.get("val"), Tensor):
                self.values[node] = self.builder.images
                self.builder.images.meta["sizes"] = sizes_of(node.meta["val"])

    def step(self, node: fx.Node) -> None:
        if not isinstance(node.meta.get("val"), (Tensor, tuple, list)):
            return  # a size
        if node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, fx.Node)
            assert isinstance(index, int)
            self.values[node] = self.values[source][index]
            return
        self.builder.origin = node
        try:
            made = self._region(node) if _is_region(node) else self._made(node)
            self.values[node] = pytree.tree_map_only(Tensor, self.in_precision, made)
        except Unsupported as error:
            raise self._refusal(node, str(error)) from error
        except TraceError:
            raise
        except Exception as error:
            reason = f"with these arguments it is not supported ({type(error).__name__}: {str(error)[:120]})"
            raise self._refusal(node, reason) from error

    def answer(self, returned: Any) -> Any:
        """What stands for something that the network returns; numbers and None stay as they are."""
        if not isinstance(returned, fx.Node):
            return returned
        value = self.values.get(returned)
        if not isinstance(value, fx.Node):
            raise TraceError(f"{self.name} gives an answer that does not depend on the image's values")
        return value

    def _region(self, node: fx.Node) -> Made:
        """The operations inside a region of the forward method that set gradients or precision."""
        at = next(i for i, argument in enumerate(node.args) if _is_graph(argument))
        if "autocast" in str(node.target) and node.args[2]:
            raise Unsupported("a part of it runs in half precision; leave autocast to the caller")
        inside = getattr(self.program.graph_module, str(node.args[at].target)).graph  # type: ignore[union-attr]
        entries = (inner for inner in inside.nodes if inner.op == "placeholder")
        for entry, outer in zip(entries, node.args[at + 1 :], strict=True):
            if outer in self.values:
                self.values[entry] = self.values[outer]  # type: ignore[index]
        for inner in inside.nodes:
            if inner.op == "call_function":
                self.step(inner)
        (answers,) = next(inner for inner in inside.nodes if inner.op == "output").args
        return tuple(self.values[answer] for answer in answers)

    def _made(self, node: fx.Node) -> Made:
        if not isinstance(node.target, OpOverload):
            raise Unsupported("it is not among the operations that are supported")
        if getattr(node.meta["val"], "dtype", None) in (torch.float16, torch.bfloat16):
            raise Unsupported("a part of it runs in half precision; leave autocast to the caller")
        given = {argument: self._value(value) for argument, value in _bound(node).items()}
        if not any(isinstance(leaf, fx.Node) for leaf in pytree.tree_leaves(given)):
            return self._constant(node)
        if any(isinstance(leaf, torch.SymInt) for leaf in pytree.tree_leaves(given)) and not _resizes(node):
            raise Unsupported("the number of images enters the answer")
        handler = HANDLERS.get(self.builder.operation)
        if handler is None:
            raise Unsupported("it is not among the operations that are supported")
        made = handler(self.builder, **given)
        parts = made if isinstance(made, tuple) else (made,)
        for index, part in enumerate(parts):
            if isinstance(part, fx.Node) and "sizes" not in part.meta:
                part.meta["sizes"] = self.builder.answer_sizes(index if isinstance(made, tuple) else None)
        return made

    def _value(self, value: Any) -> Any:
        def read(leaf: Any) -> Any:
            if not isinstance(leaf, fx.Node):
                return leaf
            if leaf in self.values and self.values[leaf] is None:
                raise Unsupported(f"it reads an answer of {verb_of(_source(leaf))} that is not supported")
            return self.values[leaf] if leaf in self.values else leaf.meta["val"]

        return pytree.tree_map(read, value)

    def _constant(self, node: fx.Node) -> Made:
        """The value of an operation on constants, for one image where it has one value for each."""

        def read(leaf: Any) -> Any:
            value = self._value(leaf)
            return _for_one_image(value) if isinstance(value, torch.SymInt) else value

        args, kwargs = pytree.tree_map(read, (node.args, node.kwargs))
        leaves = pytree.tree_leaves((args, kwargs))
        key = (node.target, *(id(leaf) if isinstance(leaf, Tensor) else repr(leaf) for leaf in leaves))
        if key not in self.known:
            assert callable(node.target)
            self.known[key] = node.target(*args, **kwargs), args
        return self.known[key][0]

    def _refusal(self, node: fx.Node, reason: str) -> TraceError:
        what = verb_of(node)
        where = place_of(node.meta.get("stack_trace"))
        return TraceError(f"{self.name} cannot be read: {what}{where}: {reason}")


_RESIZING = (
    *("view", "reshape", "expand", "slice", "unflatten", "slice_scatter", "_unsafe_view", "split"),
    *("new_zeros", "new_ones", "new_full"),
)


def _resizes(node: fx.Node) -> bool:
    """Whether an operation takes sizes, which may depend on the number of images."""
    operation = str(node.target).split(".")[1]
    return operation in _RESIZING or "upsample" in operation


def _for_one_image(size: torch.SymInt) -> int:
    """A size that depends on the number of images, for one."""
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, 1)))


_REGIONS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def _is_region(node: fx.Node) -> bool:
    return isinstance(node.target, HigherOrderOperator) and str(node.target) in _REGIONS


def _is_graph(argument: object) -> bool:
    return isinstance(argument, fx.Node) and argument.op == "get_attr"


def _source(node: fx.Node) -> fx.Node:
    """The operation that gives a value, alone or as one of several."""
    return node.all_input_nodes[0] if node.target is operator.getitem else node


def _bound(node: fx.Node) -> dict[str, Any]:
    """The arguments of an operation by their schema's names; those that are left out stay out."""
    schema = node.target._schema  # type: ignore[union-attr]
    names = [argument.name for argument in schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
