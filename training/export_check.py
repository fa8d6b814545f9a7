"""How far the answers of an exported file are from its network's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from merges.reading.check import answers_of
from training.errors import ExportError
from training.metrics import BATCH

TOLERANCE = 1e-3  # of the answers' own scale
_SMALL = 1e-3  # the least scale: a sigmoid's own rounding is much of an output that is nearly 0 everywhere


@dataclass(frozen=True)
class Gap:
    """How far one output is from the network's: the largest difference, and the largest value."""

    error: float
    scale: float

    @property
    def floor(self) -> float:
        """The scale that the error is seen against."""
        return max(self.scale, _SMALL)

    @property
    def limit(self) -> float:
        """The largest error that is rounding."""
        return TOLERANCE * self.floor

    @property
    def tolerated(self) -> bool:
        """Whether the error is rounding; one that is no number is not."""
        return self.error <= self.limit


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


def compare(model: nn.Module, path: Path, images: Tensor) -> Agreement:
    """Compare all outputs of network and file on preprocessed images (n, channels, height, width)."""
    session = session_of(path)
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


def check(agreement: Agreement, kind: str = "ONNX", network: str = "the trained network") -> None:
    """Refuse a file whose answers differ from those of the `network` that it was written of.

    Raises
    ------
    ExportError
        The error is above the tolerance.
    """
    if not agreement.worst.tolerated:
        raise ExportError(
            f"the {kind} file answers differently from {network}: "
            f"max abs error {agreement.max_abs_error:.2e}, expected at most {agreement.worst.limit:.2e}, "
            f"on {agreement.images} images"
        )


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
