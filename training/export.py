"""Exports networks to ONNX, with sizes that are left free where the network allows."""

import contextlib
import copy
import io
import json
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from merges.reading.check import answers_of
from training.errors import ExportError
from training.export_check import Gap, session_of
from training.files import replacing

OPSET = 18
_NOT_IN_NAMES = re.compile(r"[^\w.]")
_AXES = {0: "batch", 2: "height", 3: "width"}
_FURTHER = 32  # added to free sides for a second look; most networks take multiples of it


class _OneOperator(nn.Module):
    """A layer written as one ONNX operator, where PyTorch's exporter would write several.

    Runtimes recognise the operator (a local response norm as ten operators takes several times longer).
    """

    def __init__(
        self, operator: str, attributes: dict[str, Any], sides: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.operator, self.attributes, self.sides = operator, attributes, sides

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape if self.sides is None else (*x.shape[:2], *self.sides)
        return torch.onnx.ops.symbolic(self.operator, (x,), self.attributes, dtype=x.dtype, shape=shape)


def _for_export(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).eval()
    # Of maps whose channels are last, PyTorch's exporter writes a mean with a gathering of all its numbers.
    model.to(memory_format=torch.contiguous_format)
    for name, module in list(model.named_modules()):
        # Even windows are centred differently in ONNX and are left to PyTorch's exporter.
        if isinstance(module, nn.LocalResponseNorm) and module.size % 2 == 1:
            attributes = {"size": module.size, "alpha": module.alpha, "beta": module.beta, "bias": module.k}
            model.set_submodule(name, _OneOperator("::LRN", attributes))
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            model.set_submodule(name, _OneOperator("::GlobalAveragePool", {}, (1, 1)))
    return model


def to_onnx(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    path: Path,
    free: frozenset[str] = frozenset(),
    outputs: Sequence[str] = (),
) -> frozenset[str]:
    """Write a network atomically; for one image of one size, except for free sizes.

    Parameters
    ----------
    free : which of ``batch``, ``height`` and ``width`` the file should leave free
    outputs : names of the outputs; empty: PyTorch's

    Returns
    -------
    the sizes that are free; those that the network cannot leave free, or is wrong for, are fixed

    Raises
    ------
    ExportError
        PyTorch cannot export the network; the message holds its reason.
    """
    ready = _for_export(model)
    free -= _baked(model.eval(), input_shape, free)
    # As free as asked for, then with one height (as readers of lines have), with one size, for one image.
    attempts = list(dict.fromkeys((free, free - {"height"}, free & {"batch"}, frozenset[str]())))
    with replacing(path) as temporary:
        for attempt in attempts:
            try:
                _write(ready, input_shape, temporary, attempt, outputs)
                if attempt and not _holds_elsewhere(model, input_shape, temporary, attempt):
                    continue
            except Exception as error:
                if attempt != attempts[-1]:
                    continue
                raise ExportError(f"PyTorch cannot export the network: {_reason(error)}") from error
            return attempt
    raise AssertionError("the last attempt returns or raises")


def annotate(path: Path, about: Mapping[str, Any]) -> None:
    """Write facts about a network into its ONNX file, as JSON by name (its `metadata_props`)."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(fact) for name, fact in about.items()})
    with replacing(path) as temporary:
        onnx.save(model, temporary)


def _baked(model: nn.Module, input_shape: tuple[int, int, int], free: frozenset[str]) -> set[str]:
    """The sides that the network itself does not let vary; export would take longer to find out."""
    channels, *sides = input_shape
    baked = set()
    for name, place in (("height", 0), ("width", 1)):
        if name in free:
            longer = [side + _FURTHER * (axis == place) for axis, side in enumerate(sides)]
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # graphs print where they failed
                    answers_of(model, torch.zeros(1, channels, *longer))
            except RuntimeError:
                baked.add(name)
    return baked


def _write(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    path: Path,
    free: frozenset[str],
    outputs: Sequence[str],
) -> None:
    # PyTorch takes sides of 0 and 1 for constants: two images stand for any number of them.
    image = torch.zeros(2 if "batch" in free else 1, *input_shape)
    sides = {axis: name for axis, name in _AXES.items() if name in free}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            model,
            (image,),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=[_NOT_IN_NAMES.sub("_", name) for name in outputs] or None,
            dynamic_shapes=(sides,) if sides else None,
            external_data=False,
            verbose=False,
        )


def _holds_elsewhere(
    model: nn.Module, input_shape: tuple[int, int, int], path: Path, free: frozenset[str]
) -> bool:
    """Whether the file agrees with the network for other batches and sizes."""
    session = session_of(path)
    channels, height, width = input_shape
    taller, wider = height + _FURTHER * ("height" in free), width + _FURTHER * ("width" in free)
    generator = torch.Generator().manual_seed(0)
    for sides in {(height, width), (taller, wider)}:
        images = torch.randn(3 if "batch" in free else 1, channels, *sides, generator=generator)
        found = session.run(None, {"image": images.numpy()})
        for answer, wanted in zip(found, answers_of(model, images), strict=True):
            error = np.abs(answer - wanted.numpy()).max() if answer.shape == wanted.shape else np.inf
            if not Gap(float(error), float(wanted.abs().max())).tolerated:
                return False
    return True


def _reason(error: BaseException) -> str:
    """The first line of the innermost of PyTorch's errors, without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
