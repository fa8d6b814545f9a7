"""A network that was read, compared with onnxruntime on the same file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from training.errors import BadInputError
from training.onnx_input.loading import OnnxFile

TOLERANCE = 1e-3  # of the answers' own scale; both compute in 32 bits
_SMALL = 1e-3  # onnxruntime's sigmoid errs by 1e-7, much of an output that is nearly 0 everywhere
_EQUAL_INTEGERS = 0.99  # places of maxima among nearly equal numbers may differ


class Reference:
    """The file as onnxruntime runs it."""

    def __init__(self, file: OnnxFile) -> None:
        """Open it.

        Raises
        ------
        BadInputError
            onnxruntime cannot.
        """
        self.file = file
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1  # its threads and torch's would spin for the same cores
        try:
            with redirect_stdout(io.StringIO()):  # it prints what it then raises
                self._session = onnxruntime.InferenceSession(
                    file.path, options, providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # onnxruntime's errors have no common class
            raise self._unable(error) from error

    def check(self, module: nn.Module, height: int, width: int) -> None:
        """Compare on three images of a size.

        Raises
        ------
        BadInputError
            The answers differ, or onnxruntime cannot run the file.
        """
        pictures = images(self.file.channels, height, width)
        wanted = [self._answers(image) for image in pictures]
        for count in (len(pictures), 1):
            for place, answer in enumerate(_outputs(module, pictures[:count], self.file)):
                name = self._session.get_outputs()[place].name
                whole = np.concatenate([w[place][:1] for w in wanted[:count]])
                self._compare(name, answer.numpy(), whole, count)

    def _answers(self, image: Tensor) -> list[np.ndarray]:
        batch = image[None].repeat(self.file.batch or 1, 1, 1, 1).numpy()
        try:
            answers: list[np.ndarray] = self._session.run(None, {self.file.input: batch})
        except Exception as error:
            raise self._unable(error) from error
        for output, answer in zip(self._session.get_outputs(), answers, strict=True):
            if answer.ndim == 0 or answer.shape[0] != len(batch):
                raise BadInputError(
                    f"{self.file.short} cannot be read: its output {output.name!r} has the shape "
                    f"{'x'.join(map(str, answer.shape)) or 'of one number'} for {len(batch)} images; "
                    "expected one entry an image first"
                )
        return answers

    def _compare(self, name: str, found: np.ndarray, wanted: np.ndarray, count: int) -> None:
        if found.shape == wanted.shape and not np.issubdtype(wanted.dtype, np.floating):
            if (found == wanted).mean() >= _EQUAL_INTEGERS:
                return
            difference = "other whole numbers"
        elif found.shape == wanted.shape:
            error = difference_of(found, wanted)
            if error <= TOLERANCE:
                return
            difference = f"an error of {error:.1e} of its scale, expected at most {TOLERANCE:.0e}"
        else:
            difference = f"the shape {found.shape}, expected {wanted.shape}"
        raise BadInputError(
            f"{self.file.short} cannot be read: as read, its output {name!r} for {count} image(s) at once "
            f"has {difference}, against onnxruntime; export it with a free batch, or report this file"
        )

    def _unable(self, error: Exception) -> BadInputError:
        reason = " ".join(str(error).split())[:200]
        return BadInputError(
            f"onnxruntime {onnxruntime.__version__} cannot run {self.file.short} ({reason}); "
            "expected a network that it can run"
        )


def images(channels: int, height: int, width: int) -> Tensor:
    """Noise, a smooth image, and both."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(channels, height, width, generator=generator)
    rows, columns = torch.linspace(0, 5, height)[:, None], torch.linspace(0, 7, width)
    smooth = torch.stack([torch.sin(rows + c) * torch.cos(columns - c) for c in range(channels)])
    return torch.stack([noise, smooth, smooth + 0.3 * noise])


def difference_of(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, in parts of the largest number; numbers that are none must be so in both."""
    odd = ~np.isfinite(wanted)
    if not np.array_equal(np.where(odd, found, 0), np.where(odd, wanted, 0), equal_nan=True):
        return float("inf")
    gap = np.abs(np.where(odd, 0, found) - np.where(odd, 0, wanted)).max(initial=0)
    scale = np.abs(np.where(odd, 0, wanted)).max(initial=0)
    return float(gap / max(scale, _SMALL))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads wait longer for each other than they compute on a few images, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _outputs(module: nn.Module, pictures: Tensor, file: OnnxFile) -> tuple[Tensor, ...]:
    try:
        with _one_thread():
            answers: Any = module(pictures)
    except Exception as error:  # what was read for free sizes may not fit this one
        raise BadInputError(
            f"{file.short} cannot be read: for {len(pictures)} image(s) at once torch says "
            f"{' '.join(str(error).split())[:160]!r}; export it with a free batch"
        ) from error
    return answers if isinstance(answers, tuple) else (answers,)
