"""Networks as PyTorch's exporter sees them: without writes, with parameters as inputs and a free batch."""

import contextlib
import inspect
import io
import logging
import re
import traceback
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from merges.graph import TraceError
from merges.reading.writes import without_writes

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)
_EXAMPLES = 2  # images: a batch of one would be taken for a constant
_MOST_IMAGES = 70  # at once, as far as it is asked whether a network treats their number alike
_SYMBOL = re.compile(r"\bs\d+\b")  # the exporter's name for the number of images
_FRAME = re.compile(r'File "(?P<file>.+?)", line (?P<line>\d+)')


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside wrappers that only run it elsewhere or compile it."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(model, torch._dynamo.OptimizedModule):
            model = model._orig_mod
        else:
            return model


@contextlib.contextmanager
def answering(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every layer gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def exported(
    name: str, model: nn.Module, input_shape: tuple[int, int, int], known: Collection[str]
) -> ExportedProgram:
    """The network as a program of ATen operations, functional, for any number of images.

    Operations that are not among the `known` (as ``conv2d.default``) are taken apart where PyTorch knows how.

    Raises
    ------
    TraceError
        The network takes more than one image batch, or export refuses it: the message holds the reason and
        the place in the user's file.
    """
    _of_single_precision(name, model, input_shape)
    _require_one_input(name, model)
    example = (torch.zeros(_EXAMPLES, *input_shape),)
    try:
        with answering(model), _silence():
            program = torch.export.export(model, example, dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
            program = _of_known(without_writes(program), known)
    except Exception as error:
        raise TraceError(f"{name} cannot be read as a graph of layers{_why(error)}") from error
    _require_any_batch(name, program)
    written = program.graph_signature.buffers_to_mutate
    if written:
        raise TraceError(
            f"{name} writes into its own buffer {next(iter(written.values()))!r} when it answers; "
            "only networks that answer without changing themselves are supported"
        )
    return program


def _of_known(program: ExportedProgram, known: Collection[str]) -> ExportedProgram:
    """The program with unknown operations taken apart; those that cannot be stay."""
    called = {node.target for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)}
    names = {target: str(target).removeprefix("aten.") for target in called}
    unknown = [t for t, name in names.items() if name not in known and not name.startswith("sym_")]
    if not unknown:
        return program
    parts = torch.export.default_decompositions()  # views that PyTorch composes go by themselves
    return program.run_decompositions({target: parts[target] for target in unknown if target in parts})


def _of_single_precision(name: str, model: nn.Module, input_shape: tuple[int, int, int]) -> None:
    """Refuse what is no network, no shape of an image, or has weights of another precision."""
    if not isinstance(model, nn.Module):
        raise TraceError(f"{name} is a {type(model).__name__}; expected a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise TraceError(
            f"{name} is a TorchScript module; expected the torch.nn.Module that it was made from"
        )
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise TraceError(f"{name} cannot take images of {input_shape}; expected channels, height and width")
    kinds = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    if kinds - {torch.float32}:
        other = str((kinds - {torch.float32}).pop()).removeprefix("torch.")
        raise TraceError(f"{name} has weights in {other}; expected float32, as model.float() gives")


def _require_one_input(name: str, model: nn.Module) -> None:
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):  # compiled code: export will say what it thinks of it
        return
    needed = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(needed) > 1:
        raise TraceError(
            f"{name} has {len(needed)} inputs ({', '.join(p.name for p in needed)}); "
            "only networks with one image input are supported"
        )
    if not parameters or parameters[0].kind not in by_place:
        raise TraceError(f"{name}'s forward method does not take the image as its first argument by place")


def _require_any_batch(name: str, program: ExportedProgram) -> None:
    """Refuse a program that holds for some numbers of images only."""
    images = next((n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs), None)
    count = None if images is None else images.meta["val"].shape[0]
    if not isinstance(count, torch.SymInt):
        raise TraceError(f"{name} answers a fixed number of images at once")
    assert count.node.shape_env is not None
    for guard in count.node.shape_env.guards:
        symbols = guard.expr.free_symbols
        if any(
            guard.expr.subs(dict.fromkeys(symbols, n)) == sympy.false for n in range(_EXAMPLES, _MOST_IMAGES)
        ):
            asked = _SYMBOL.sub("images", str(guard.expr))
            raise TraceError(f"{name} answers differently by how many images it is given (it asks {asked})")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without the exporter's dumps of whole graphs: what matters is in its errors."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _why(error: Exception) -> str:
    """Where in the user's code export stopped, and why, for a message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [(f.filename, f.lineno) for f in frames if not f.filename.startswith((_TORCH, _HERE, "<"))]
    calls = [place for place in own if "/contextlib.py" not in place[0] and "/inspect.py" not in place[0]]
    where = f" at {calls[-1][0]}:{calls[-1][1]}" if calls else ""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if "data-dependent" in reason:
        reason = (
            "its forward method depends on values of tensors (control flow); a part that does not, as the "
            "network before the choice of boxes, can be taken alone (`within` NAME)"
        )
    if "Constraints violated" in reason:
        reason = "its forward method depends on the number of images (a loop or branch over it)"
    return f"{where}: {_SYMBOL.sub('images', reason[:240])}"


def place_of(stack_trace: str | None) -> str:
    """Where in the user's file an exported operation was called, as `` (file:line)``; empty if unknown."""
    frames = [m for m in _FRAME.finditer(stack_trace or "") if not m["file"].startswith((_TORCH, "<"))]
    return f" ({frames[-1]['file']}:{frames[-1]['line']})" if frames else ""


def constants_of(program: ExportedProgram) -> dict[str, Tensor]:
    """The parameters, buffers and constants of a program, by the name of its input that holds each."""
    signature = program.graph_signature
    stored: dict[str, Any] = {**program.constants, **program.state_dict}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {placeholder: stored[name] for placeholder, name in names.items()}


def in_precision(value: Tensor, precision: torch.dtype) -> Tensor:
    """A value, or a parameter of the same numbers, with single precision replaced by another."""
    if value.dtype != torch.float32 or precision == torch.float32:
        return value
    made = value.detach().to(precision)
    return nn.Parameter(made) if isinstance(value, nn.Parameter) else made
