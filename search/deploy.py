"""From a plan to a deployed network: full fine-tuning, then ONNX checked and timed beside the original."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import fx

from latency_models.measure import side_by_side
from latency_models.runtimes.onnxruntime import session_of
from merges.plan import Plan
from search.planfile import PlanFile
from search.setup import Setup, Watch, Workbench, workbench
from training.bank import Bank
from training.errors import BadInputError
from training.export import Agreement, check, compare, to_onnx
from training.files import replacing
from training.finetune import Accuracy, assemble, by_class, evaluate
from training.fit import Fit, fit, half_pays
from training.lesson import Recipe

_PLAN, _WEIGHTS, _CHECKPOINT, _RESULT = (
    "plan.json",
    "merged.safetensors",
    "checkpoint.pt",
    "result.json",
)
_BANK_IMAGES, _RELEARN_STEPS = 400, 60
_CHECK_IMAGES = 64


@dataclass(frozen=True)
class Trained:
    """A finished run: accuracies on the test split, agreement with the teacher in percent.

    `classes` gives for every class that has test images how many, and top-1 of teacher and merged network.
    """

    teacher: Accuracy
    merged: Accuracy
    agreement: float
    losses: list[float]
    test_is_proxy: bool
    classes: dict[str, tuple[int, float, float]]

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        values = asdict(self) | {"drop": self.teacher.top1 - self.merged.top1}
        for name, reached in (("teacher", self.teacher), ("merged", self.merged)):
            for metric in ("top1", "top5"):
                values[name][f"{metric}_interval"] = reached.interval(getattr(reached, metric))
        return values


@dataclass(frozen=True)
class Exported:
    """A checked ONNX file; latencies of this machine in milliseconds."""

    onnx: str
    agreement: Agreement
    original_ms: float
    merged_ms: float
    threads: int

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
            "kind": "measured",
        }


def train(
    plan_file: PlanFile,
    setup: Setup,
    epochs: int,
    augment: bool,
    out: Path,
    home: Path,
    watch: Watch,
    note: Callable[[str], None],
) -> Trained:
    """Fine-tune a plan's network fully; checkpoints and the result land in `out`.

    With `augment`, random parts of the images are learned on, half of them mirrored.

    Raises
    ------
    BadInputError
        The plan does not fit the network, or `out` holds a run of another plan.
    """
    if epochs < 0:
        raise BadInputError(f"--epochs is {epochs}; expected 0 or more")
    _claim(out, plan_file, setup)
    bench = workbench(setup, home, watch, plan_file.fitted)
    for remark in bench.data.remarks():
        note(remark)
    plan = plan_file.fitted(bench.network)
    plan_file.model_copy(update={"setup": setup}).save(out / _PLAN)
    merged = _start(bench, plan, home, watch)
    how = Fit(epochs, half=half_pays(), seed=setup.seed)
    losses = fit(
        merged,
        bench.network.skeleton(),
        [block.name for block in bench.network.blocks if block.choices(plan.choice)],
        bench.changed if augment else bench.inputs(bench.data.train),
        len(bench.data.train),
        how,
        out / _CHECKPOINT,
        watch(f"fine-tuning ({epochs} epochs)"),
    )
    teacher, wanted = bench.judge(bench.data.test)
    reached, answers = evaluate(merged, bench.inputs(bench.data.test), bench.data.test.labels)
    same = 100 * float((wanted.argmax(1) == answers.argmax(1)).float().mean())
    found = by_class([wanted, answers], bench.data.test.labels)
    classes = {bench.data.classes[n]: (count, *shares) for n, (count, shares) in found.items()}
    trained = Trained(teacher, reached, same, losses, bench.data.test_is_proxy, classes)  # type: ignore[arg-type]
    with replacing(out / _WEIGHTS) as temporary:
        save_file({k: v.contiguous() for k, v in merged.state_dict().items()}, temporary)
    with replacing(out / _RESULT) as temporary:
        temporary.write_text(json.dumps(trained.answer(), indent=2) + "\n")
    return trained


def _claim(out: Path, plan_file: PlanFile, setup: Setup) -> None:
    """Refuse a folder that holds a run of another plan or other data."""
    if not (out / _PLAN).exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"{out} cannot be written ({error.strerror}); choose another --out"
            ) from error
        return
    earlier = PlanFile.load(out / _PLAN)
    if (earlier.plan_id, earlier.setup) != (plan_file.plan_id, setup):
        raise BadInputError(
            f"{out} holds a run of plan {earlier.plan_id} with other settings or data; choose another --out"
        )


def _start(bench: Workbench, plan: Plan, home: Path, watch: Watch) -> fx.GraphModule:
    """The plan's network from the bank, relearned from bottom to top."""
    recipe = Recipe(images=_BANK_IMAGES, seed=bench.setup.seed)
    images = bench.preprocess(bench.data.train.pixels[: recipe.images])
    bank = Bank(bench.network, images, home / "bank", bench.data.fingerprint, recipe)
    return assemble(bank, plan.choice, _RELEARN_STEPS, watch("relearning merged blocks from bottom to top"))


def export_run(run: Path, out: Path, threads: int, home: Path, watch: Watch) -> Exported:
    """Write a trained run as ONNX, check it on test images and time it beside the original.

    Raises
    ------
    BadInputError
        The folder holds no finished run.
    ExportError
        The file answers differently from the network; it is not left behind.
    """
    plan_file, weights = _finished_run(run)
    assert plan_file.setup is not None
    bench = workbench(plan_file.setup, home, watch, plan_file.fitted)
    merged = bench.network.merged(plan_file.fitted(bench.network).choice)
    merged.load_state_dict(weights)
    return _export(bench, merged, out, threads)


def export_plan(
    plan_file: PlanFile, setup: Setup, out: Path, threads: int, home: Path, watch: Watch
) -> Exported:
    """As `export_run`, for a plan that needs no training: exact merges and factored layers.

    Raises
    ------
    BadInputError
        The plan has rebirth layers, which must be learned first.
    ExportError
        The file answers differently from the network; it is not left behind.
    """
    bench = workbench(setup, home, watch, plan_file.fitted)
    plan = plan_file.fitted(bench.network)
    unlearned = [s.id for s in bench.network.sites if s.id in plan.choice and not (s.exact or s.inherits)]
    if unlearned:
        raise BadInputError(
            f"the plan's {unlearned[0]} needs weights that are not learned yet; run 'train' on it, "
            "then 'export --run'"
        )
    return _export(bench, bench.network.merged(plan.choice), out, threads)


def _export(bench: Workbench, merged: fx.GraphModule, out: Path, threads: int) -> Exported:
    images = _check_images(bench)
    shape = bench.network.input_shape
    with replacing(out) as temporary:
        to_onnx(merged, shape, temporary)
        agreement = compare(merged, temporary, images)
        check(agreement)
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "original.onnx"
        to_onnx(bench.network.teacher, shape, original)
        check(compare(bench.network.teacher, original, images))
        sessions = [session_of(str(path), threads) for path in (original, out)]
    feeds = {"image": images[:1].numpy().astype(np.float32)}
    times = side_by_side([lambda s=s: s.run(None, feeds) for s in sessions])  # type: ignore[misc]
    return Exported(str(out), agreement, times[0][0] / 1000, times[1][0] / 1000, threads)


def _check_images(bench: Workbench) -> torch.Tensor:
    """Preprocessed test images; noise where there are none."""
    if len(bench.data.test):
        return bench.inputs(bench.data.test)(torch.arange(min(_CHECK_IMAGES, len(bench.data.test))))
    generator = torch.Generator().manual_seed(bench.setup.seed)
    size = (_CHECK_IMAGES, *bench.network.input_shape)
    return bench.preprocess(torch.randint(256, size, generator=generator, dtype=torch.uint8))


def _finished_run(run: Path) -> tuple[PlanFile, dict[str, torch.Tensor]]:
    if not (run / _WEIGHTS).exists():
        raise BadInputError(f"{run} holds no finished run (no {_WEIGHTS}); 'train --out {run}' makes one")
    plan_file = PlanFile.load(run / _PLAN)
    try:
        return plan_file, load_file(run / _WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise BadInputError(f"{run / _WEIGHTS} is damaged ({error}); run 'train' again") from error
