"""Exports networks to ONNX, checked on real images."""

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from merges.reading.check import answers_of
from training.errors import ExportError
from training.files import replacing
from training.metrics import BATCH

OPSET = 18
TOLERANCE = 1e-3  # of the answers' own scale
_SMALL = 1e-3  # the least scale: a sigmoid's own rounding is much of an output that is nearly 0 everywhere
_NOT_IN_NAMES = re.compile(r"[^\w.]")
_AXES = {0: "batch", 2: "height", 3: "width"}
_FURTHER = 32  # added to free sides for a second look; most networks take multiples of it


@dataclass(frozen=True)
class Gap:
    """How far one output is from the network's: the largest difference, and the largest value."""

    error: float
    scale: float

    @property
    def floor(self) -> float:
        """The scale that the error is seen against."""
        return max(self.scale, _SMALL)


@dataclass(frozen=True)
class Agreement:
    """How far a file's answers are from its network's.

    Attributes
    ----------
    outputs : by name
    images : on how many
    top1_agreement : percent of images with the same best class; None where there is no vector of scores
    """

    outputs: dict[str, Gap]
    images: int
    top1_agreement: float | None = None

    @property
    def worst(self) -> Gap:
        """Of the output that differs most, as a share of its scale."""
        # An error that is no number is the worst of all.
        return max(self.outputs.values(), key=lambda gap: (not gap.error <= np.inf, gap.error / gap.floor))

    @property
    def max_abs_error(self) -> float:
        """The largest difference of any value of that output."""
        return self.worst.error

    @property
    def scale(self) -> float:
        """The largest value of that output."""
        return self.worst.scale


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
    session = _session(path)
    channels, height, width = input_shape
    taller, wider = height + _FURTHER * ("height" in free), width + _FURTHER * ("width" in free)
    generator = torch.Generator().manual_seed(0)
    for sides in {(height, width), (taller, wider)}:
        images = torch.randn(3 if "batch" in free else 1, channels, *sides, generator=generator)
        found = session.run(None, {"image": images.numpy()})
        for answer, wanted in zip(found, answers_of(model, images), strict=True):
            gap = np.abs(answer - wanted.numpy()).max() if answer.shape == wanted.shape else np.inf
            if not gap <= TOLERANCE * max(float(wanted.abs().max()), _SMALL):
                return False
    return True


def _reason(error: BaseException) -> str:
    """The first line of the innermost of PyTorch's errors, without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def compare(model: nn.Module, path: Path, images: Tensor) -> Agreement:
    """Compare all outputs of network and file on preprocessed images (n, channels, height, width)."""
    session = _session(path)
    name = session.get_inputs()[0].name
    singles = [session.run(None, {name: image[None].numpy()}) for image in images]
    answers = [np.concatenate(parts) for parts in zip(*singles, strict=True)]
    batches = [answers_of(model, images[i : i + BATCH].float()) for i in range(0, len(images), BATCH)]
    wanted = [torch.cat(parts).numpy() for parts in zip(*batches, strict=True)]
    return agreement_of(answers, wanted, [output.name for output in session.get_outputs()])


def agreement_of(
    answers: Sequence[np.ndarray], wanted: Sequence[np.ndarray], outputs: Sequence[str]
) -> Agreement:
    """How far answers are from those of the network: an array an output, images first."""
    gaps = {
        name: Gap(float(np.abs(found - right).max()), float(np.abs(right).max()))
        for name, found, right in zip(outputs, answers, wanted, strict=True)
    }
    if len(gaps) > 1 or wanted[0].ndim != 2:
        return Agreement(gaps, len(wanted[0]))
    same = answers[0].argmax(axis=1) == wanted[0].argmax(axis=1)
    return Agreement(gaps, len(wanted[0]), 100 * float(same.mean()))


def check(agreement: Agreement, kind: str = "ONNX") -> None:
    """Refuse a file whose answers differ.

    Raises
    ------
    ExportError
        The error is above the tolerance.
    """
    limit = TOLERANCE * agreement.worst.floor
    if not agreement.max_abs_error <= limit:
        raise ExportError(
            f"the {kind} file answers differently from the trained network: "
            f"max abs error {agreement.max_abs_error:.2e}, expected at most {limit:.2e}, "
            f"on {agreement.images} images"
        )
