"""Exports trained networks to ONNX, checked and timed beside the original."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from latency_models.measure import side_by_side
from latency_models.runtimes.onnxruntime import session_of
from search.deploy.runs import load_trained, plan_of
from search.results.planfile import PlanFile
from training.config import ModelConfig
from training.errors import BadInputError
from training.export import Agreement, check, compare, to_onnx
from training.files import replacing
from training.progress import Session
from training.trust import require_trusted
from training.workbench import Workbench, workbench

_CHECK_IMAGES = 64


@dataclass(frozen=True)
class Exported:
    """A checked ONNX file, with latencies on this machine in milliseconds.

    `free` are its free sizes (of "batch", "height" and "width"); `fixed` are sizes that were free in the
    original file and are not in this one.
    """

    onnx: str
    agreement: Agreement
    original_ms: float
    merged_ms: float
    threads: int
    free: list[str]
    fixed: list[str]

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        return {
            "onnx": self.onnx,
            "max_abs_error": self.agreement.max_abs_error,
            "top1_agreement": self.agreement.top1_agreement,
            "images": self.agreement.images,
            "latency_ms": {"original": self.original_ms, "merged": self.merged_ms},
            "speedup": self.original_ms / self.merged_ms,
            "threads": self.threads,
            "free": self.free,
            "kind": "measured",
        }


def export_run(
    run: Path,
    out: Path,
    threads: int,
    session: Session,
    trust: bool = False,
    model: str | None = None,
) -> Exported:
    """Write a trained run as ONNX, check it on test images and time it beside the original.

    Raises
    ------
    BadInputError
        The folder holds no finished run, or its plan names code that is neither trusted nor the `model`.
    ExportError
        The file answers differently from the network; it is not left behind.
    """
    plan_file = plan_of(run)
    assert plan_file.setup is not None
    require_trusted(plan_file.setup, (model,), trust)
    bench = workbench(plan_file.setup, session, plan_file.fitted)
    merged = bench.network.merged(plan_file.fitted(bench.network))
    load_trained(run, merged)
    return _export(bench, merged, out, threads)


def export_plan(
    plan_file: PlanFile,
    setup: ModelConfig,
    out: Path,
    threads: int,
    session: Session,
) -> Exported:
    """Like `export_run`, for a plan that needs no training: exact merges and low-rank factors.

    Raises
    ------
    BadInputError
        The plan has rebirth layers, which must be learned first.
    ExportError
        The file answers differently from the network; it is not left behind.
    """
    bench = workbench(setup, session, plan_file.fitted)
    plan = plan_file.fitted(bench.network)
    unlearned = [s.id for s in bench.network.sites if s.id in plan and not (s.exact or s.inherits)]
    if unlearned:
        raise BadInputError(
            f"the plan's {unlearned[0]} needs weights that are not learned yet; run 'train' on it, "
            "then 'export --run'"
        )
    return _export(bench, bench.network.merged(plan), out, threads)


def _export(bench: Workbench, merged: fx.GraphModule, out: Path, threads: int) -> Exported:
    images = _check_images(bench)
    shape = bench.network.input_shape
    with replacing(out) as temporary:
        free = to_onnx(merged, shape, temporary, bench.free)
        agreement = compare(merged, temporary, images)
        check(agreement)
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "original.onnx"
        to_onnx(bench.network.teacher, shape, original)
        check(compare(bench.network.teacher, original, images))
        sessions = [session_of(str(path), threads) for path in (original, out)]
    feeds = {"image": images[:1].numpy().astype(np.float32)}
    times = side_by_side([lambda s=s: s.run(None, feeds) for s in sessions])  # type: ignore[misc]
    original_ms, merged_ms = (time[0] / 1000 for time in times)
    fixed = sorted(bench.free - free)
    return Exported(str(out), agreement, original_ms, merged_ms, threads, sorted(free), fixed)


def _check_images(bench: Workbench) -> torch.Tensor:
    """Preprocessed test images, or noise if there are none."""
    if len(bench.data.test):
        return bench.inputs(bench.data.test)(torch.arange(min(_CHECK_IMAGES, len(bench.data.test))))
    generator = torch.Generator().manual_seed(bench.setup.seed)
    size = (_CHECK_IMAGES, *bench.network.input_shape)
    return bench.preprocess(torch.randint(256, size, generator=generator, dtype=torch.uint8))
