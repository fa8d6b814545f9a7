"""Whether two networks answer alike: always asked, after reading and when an exact option is first built."""

import contextlib
import copy
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from merges.graph import TraceError, label
from merges.reading.exported import answering

TOLERANCE = 1e-4  # of the answer's scale, in single precision
TOLERANCE_DOUBLE = 1e-8
_LAST_DIGITS = 1e-15
_LEAST_SCALE = 1e-6  # answers that are zero but for rounding are equal
_BATCHES = (1, 3)
_TRIES = 5
_SMOOTH = 9  # pixels that noise is blurred over, to look like a photo


def example_images(shape: tuple[int, ...], count: int) -> Tensor:
    """Standard normal values, (count, *shape): every second of maps (channels, ...) smooth, like a photo."""
    generator = torch.Generator("cpu").manual_seed(0)
    images = torch.randn(count, *shape, generator=generator, device="cpu")
    if len(shape) != 3 or count < 2:
        return images
    window = min(_SMOOTH, *(side if side % 2 else side - 1 for side in shape[1:]))
    smooth = nn.functional.avg_pool2d(images[1::2], window, 1, window // 2)
    images[1::2] = smooth / smooth.std().clamp_min(1e-6)
    return images


def answers_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """All tensors that a network answers with."""
    with answering(network):
        leaves = pytree.tree_leaves(network(images.clone()))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def worst(got: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, as a share of each answer's own scale; infinite for other shapes."""
    if [g.shape for g in got] != [w.shape for w in wanted]:
        return float("inf")
    shares = [
        float((g.double() - w.double()).abs().max() / w.double().abs().max().clamp_min(_LEAST_SCALE))
        for g, w in zip(got, wanted, strict=True)
        if w.numel()
    ]
    return max((share if share == share else float("inf") for share in shares), default=0.0)


def check_reading(
    name: str, model: nn.Module, read: fx.GraphModule, input_shape: tuple[int, int, int], photo: Tensor | None
) -> float:
    """How far a graph is from the user's network, for one image and for several.

    Returns
    -------
    the largest difference as a share of the answers' scale; 0 where it is at most the tolerance

    Raises
    ------
    TraceError
        The network cannot answer one image or several, gives other answers for an image in a batch, or gives
        values that are not finite; the message says which.
    """
    images = example_images(input_shape, max(_BATCHES))
    if photo is not None:
        images[1] = photo
    wanted: dict[int, list[Tensor]] = {}
    before, drawn = _attributes(model), _drawn()
    for batch in _BATCHES:
        try:
            wanted[batch] = answers_of(model, images[-batch:])
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]
            raise TraceError(
                f"{name} does not answer {batch} image{'s' * (batch > 1)} at once ({reason})"
            ) from error
        if not all(bool(torch.isfinite(answer).all()) for answer in wanted[batch]):
            raise TraceError(f"{name} answers with values that are not finite for images of about -3 to 3")
    if _attributes(model) != before:
        raise TraceError(f"{name} changes itself when it answers")
    if _drawn() != drawn and _draws_each_time(model, images[-1:]):
        raise TraceError(f"{name} draws random numbers when it answers")
    alone = [answer[-1:] for answer in wanted[max(_BATCHES)]]
    if worst(wanted[1], alone) > 10 * TOLERANCE and not _same_in_batches(model, images):
        raise TraceError(f"{name} answers an image differently when other images are in the batch with it")
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # graphs print where they failed
            errors = [worst(answers_of(read, images[-batch:]), wanted[batch]) for batch in _BATCHES]
    except Exception:  # a size that the graph takes for fixed
        return float("inf")
    return max(errors) if max(errors) > TOLERANCE else 0.0


def in_double(model: nn.Module, images: Tensor) -> list[Tensor] | None:
    """Answers in double precision; None where a network cannot be copied or has a precision of its own."""
    try:
        return answers_of(copy.deepcopy(model).double(), images.double())
    except Exception:
        return None


def rounding_in_double(model: nn.Module, images: Tensor) -> float:
    """How far equal networks may lie apart in double precision, as a share of the answers' scale.

    A network that magnifies rounding (a hundred layers with gates, say) moves its answers by more than the
    tolerance when the last digits of its images change.
    """
    wanted, moved = (in_double(model, images.double() * factor) for factor in (1, 1 + _LAST_DIGITS))
    magnified = 0.0 if wanted is None or moved is None else 10 * worst(moved, wanted)
    return min(TOLERANCE, max(TOLERANCE_DOUBLE, magnified))


def _same_in_batches(model: nn.Module, images: Tensor) -> bool:
    whole, alone = in_double(model, images), in_double(model, images[-1:])
    if whole is None or alone is None:
        return False
    return worst(alone, [answer[-1:] for answer in whole]) <= rounding_in_double(model, images)


def _attributes(model: nn.Module) -> list[object]:
    """Plain attributes of layers, which answering must leave as they are."""
    plain = (bool, int, float, str, tuple, type(None))
    return [
        value for module in model.modules() for value in vars(module).values() if isinstance(value, plain)
    ]


def _drawn() -> list[object]:
    """The states of the process's random generators."""
    return [random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()]  # type: ignore[index]  # noqa: NPY002


def _draws_each_time(model: nn.Module, images: Tensor) -> bool:
    """Whether it is the network that draws: other threads (a worker's connections) do so now and then."""
    for _ in range(_TRIES):
        before = _drawn()
        answers_of(model, images)
        if _drawn() == before:
            return False
    return True


def first_difference(
    read: fx.GraphModule, program: fx.GraphModule, inputs: list[Tensor], images: Tensor
) -> str:
    """The label of the first node of a graph that differs from the operation it comes from; empty if none.

    `inputs` are those of the exported program: weights, and the images in their place.
    """
    recorded: dict[str, Any] = {}
    with torch.no_grad():
        _Watched(program, recorded.__setitem__).run(*inputs)
        origins = {node.name: node.meta.get("origin") for node in read.graph.nodes}
        labels = {node.name: label(node) for node in read.graph.nodes}
        found: list[str] = []

        def compare(name: str, value: Any) -> None:
            wanted = recorded.get(str(origins[name]))
            comparable = isinstance(value, Tensor) and isinstance(wanted, Tensor)
            if comparable and worst([value], [wanted]) > TOLERANCE:  # type: ignore[list-item]
                found.append(labels[name])

        _Watched(read, compare).run(images)
    return found[0] if found else ""


class _Watched(fx.Interpreter):
    """Runs a graph and shows every node's value."""

    def __init__(self, module: fx.GraphModule, watch: Callable[[str, Any], None]) -> None:
        super().__init__(module)
        self.watch = watch

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.watch(n.name, value)
        return value
