"""Exported programs without writes: operations in place become ordinary ones.

PyTorch's own decomposition handles every write, also through views, but traces the whole network again (half
a minute for a network of 70 in-place activations). Where no value that is written has a view, renaming does.
"""

import operator

import torch
from torch import fx
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram

# These return what they are given in evaluation mode, which their schemas do not say.
_MAY_RETURN_THEIR_INPUT = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "type_as")


def without_writes(program: ExportedProgram) -> ExportedProgram:
    """The same program in which no operation changes a value that another one reads."""
    nodes = list(program.graph.nodes)
    writes = [node for node in nodes if _is_write(node)]
    regions = [node for node in nodes if isinstance(node.target, HigherOrderOperator)]
    if not writes and not regions:
        return program
    if regions or not _can_be_renamed(program):  # a region (of a precision, say) may hold writes too
        return program.run_decompositions({})
    for node in writes:
        _rename(node)
    return program


def _is_write(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def _can_be_renamed(program: ExportedProgram) -> bool:
    """Whether all writes are whole values of the network's own that nothing else looks into."""
    signature = program.graph_signature
    stored = {*signature.inputs_to_parameters, *signature.inputs_to_buffers}
    stored |= set(signature.inputs_to_lifted_tensor_constants)
    owner: dict[fx.Node, fx.Node] = {}  # which value a node's memory belongs to
    viewed: set[fx.Node] = set()
    for node in program.graph.nodes:
        source = node.all_input_nodes[0] if node.all_input_nodes else node
        if _is_write(node):
            owner[node] = owner[source]
            if owner[node] in viewed or owner[node].name in stored or _functional(node) is None:
                return False
        elif node.op == "call_function" and _may_view(node):
            owner[node] = owner[source]
            viewed.add(owner[source])
        else:
            owner[node] = node
    return True


def _may_view(node: fx.Node) -> bool:
    """Whether a node's value may share the memory of its first input."""
    if node.target is operator.getitem:
        return _may_view(node.all_input_nodes[0])
    if not isinstance(node.target, OpOverload):
        return True  # nothing is known of it
    aliased = any(result.alias_info is not None for result in node.target._schema.returns)
    return aliased or node.target._schema.name.removeprefix("aten::") in _MAY_RETURN_THEIR_INPUT


def _functional(node: fx.Node) -> OpOverload | None:
    """The operation that computes the same without writing; None where there is none alike."""
    assert isinstance(node.target, OpOverload)
    name, overload = node.target._schema.name.removeprefix("aten::"), node.target._overloadname
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    found = getattr(packet, overload, None)
    written = [argument.name for argument in node.target._schema.arguments if argument.is_write]
    values = (source.meta.get("val") for source in node.all_input_nodes)
    kinds = {value.dtype for value in values if isinstance(value, torch.Tensor)}
    first_alone = written == [node.target._schema.arguments[0].name]
    return found if isinstance(found, OpOverload) and len(kinds) == 1 and first_alone else None


def _rename(node: fx.Node) -> None:
    """Let what is read after a write read its result."""
    written = node.all_input_nodes[0]
    later = node
    while later.op != "root":
        if later is not node and written in later.all_input_nodes:
            later.replace_input_with(written, node)
        later = later.next
    functional = _functional(node)
    assert functional is not None
    node.target = functional
