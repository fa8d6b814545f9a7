"""ONNX files that answer as the PyTorch network does, checked on real images."""

import copy
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from training.errors import ExportError
from training.files import replacing
from training.walk import outputs_of

OPSET = 18
TOLERANCE = 1e-3  # of the answers' own scale


@dataclass(frozen=True)
class Agreement:
    """How far an ONNX file is from its network on the same images.

    Attributes
    ----------
    max_abs_error : largest difference of any answer (logit)
    scale : largest answer of the network
    top1_agreement : percent of images with the same best class
    """

    max_abs_error: float
    scale: float
    top1_agreement: float
    images: int


class _OneOperator(nn.Module):
    """A layer written as the one ONNX operator that it is, where PyTorch's exporter writes several.

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


def to_onnx(model: nn.Module, input_shape: tuple[int, int, int], path: Path) -> None:
    """Write a network for one image at a time, in one step.

    Raises
    ------
    ExportError
        PyTorch cannot export the network; the message holds its reason.
    """
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                _for_export(model),
                (torch.zeros(1, *input_shape),),
                str(temporary),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=["scores"],
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(f"PyTorch cannot export the network: {str(error).splitlines()[0]}") from error


def compare(model: nn.Module, path: Path, images: Tensor) -> Agreement:
    """Run network and file on the same preprocessed images (n, 3, height, width)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answers = np.concatenate([session.run(None, {name: image[None].numpy()})[0] for image in images])
    wanted = outputs_of(model.eval(), images).numpy()
    same = answers.argmax(axis=1) == wanted.argmax(axis=1)
    return Agreement(
        float(np.abs(answers - wanted).max()),
        float(np.abs(wanted).max()),
        100 * float(same.mean()),
        len(images),
    )


def check(agreement: Agreement) -> None:
    """Refuse a file that answers differently.

    Raises
    ------
    ExportError
        The error is above the tolerance.
    """
    limit = TOLERANCE * max(agreement.scale, 1.0)
    if not agreement.max_abs_error <= limit:
        raise ExportError(
            "the ONNX file answers differently from the trained network: "
            f"max abs error {agreement.max_abs_error:.2e}, expected at most {limit:.2e}, "
            f"on {agreement.images} images"
        )
