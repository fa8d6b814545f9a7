"""Exports trained networks, checked and timed beside the original; predictions beside measurements."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import fx

from latency_models import runtime
from latency_models.bench import described
from merges.plan import Plan
from search.deploy.exported import Exported
from search.deploy.runs import load_trained, plan_of
from search.deploy.timings import HERE, far_off, measured, predictions
from search.deploy.to_ncnn import compare as compare_ncnn
from search.deploy.to_ncnn import to_ncnn
from search.results.planfile import PlanFile
from search.scoring.device import Device
from training.config import ModelConfig
from training.errors import BadInputError
from training.export import annotate, to_onnx
from training.export_check import Agreement, check, compare
from training.files import replacing
from training.images import pixels
from training.metric import ANSWERS
from training.progress import Session
from training.source import habits_of
from training.workbench import Workbench, workbench

_CHECK_IMAGES, _CHECK_IMAGES_NCNN = 64, 16
_ORIGINAL = "the untouched network"
NOT_JUDGED = {"metric": ANSWERS}  # no metric of the user's own is run
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Wanted:
    """What to write: the ONNX file, perhaps the untouched network too; `threads` to time with."""

    out: Path
    original: Path | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse to write what ``bench`` shows over another file, such as the plan.

        Raises
        ------
        BadInputError
            A file of that name is there, and no export wrote it.
        """
        for model in filter(None, (self.out, self.original)):
            about = model.with_suffix(".json")
            if about.exists() and "predicted_ms" not in described(about):
                raise BadInputError(
                    f"{about}, where 'export' writes what 'bench' shows, is another file; give the model "
                    "another name"
                )


def export_run(
    run: Path, wanted: Wanted, session: Session, given: Mapping[str, Any] = _NOTHING, trust: bool = False
) -> Exported:
    """Write a trained run as ONNX, check it on test images and time it beside the original.

    Parameters
    ----------
    given : where the run's model, weights and images are now, if they have moved

    Raises
    ------
    BadInputError
        The folder holds no finished run, or its plan names code that is neither trusted nor given.
    ExportError
        A file answers differently from the network; it is not left behind.
    """
    plan_file = plan_of(run)
    setup = plan_file.setup_with({**given, **NOT_JUDGED}, trust)
    bench = workbench(setup, session, plan_file.fitted)
    plan = plan_file.fitted(bench.network)
    merged = bench.network.merged(plan)
    if not load_trained(run, merged, bench.model):
        session.note(
            "warning: the untouched network has other weights than when the run was trained; what is "
            "exported is the run's, but what it is compared with is another network"
        )
    return _Export(bench, merged, plan, plan_file.target, session).to(wanted)


def export_plan(plan_file: PlanFile, setup: ModelConfig, wanted: Wanted, session: Session) -> Exported:
    """Like `export_run`, for a plan that needs no training: exact merges and low-rank factors.

    Raises
    ------
    BadInputError
        The plan has rebirth layers, which must be learned first.
    ExportError
        A file answers differently from the network; it is not left behind.
    """
    bench = workbench(setup, session, plan_file.fitted)
    plan = plan_file.fitted(bench.network)
    unlearned = [s.id for s in bench.network.sites if s.id in plan and not (s.exact or s.inherits)]
    if unlearned:
        raise BadInputError(
            f"the plan's {unlearned[0]} needs weights that are not learned yet; run 'train' on it, "
            "then 'export --run'"
        )
    return _Export(bench, bench.network.merged(plan), plan, plan_file.target, session).to(wanted)


@dataclass(frozen=True)
class _Export:
    """A merged network with its original, ready to be written."""

    bench: Workbench
    merged: fx.GraphModule
    plan: Plan
    target: str
    session: Session

    def to(self, wanted: Wanted) -> Exported:
        shape, network, out = self.bench.network.input_shape, self.bench.network, wanted.out
        images = self._images()
        with tempfile.TemporaryDirectory() as folder:
            original = Path(folder) / "original.onnx"
            outputs = tuple(network.outputs)
            teacher, merged = network.ended(network.untouched), network.ended(self.merged)
            to_onnx(teacher, shape, original, self.bench.free, outputs)
            annotate(original, self._fed)
            check(compare(teacher, original, images), network=_ORIGINAL)
            with replacing(out) as temporary:
                free = to_onnx(merged, shape, temporary, self.bench.free, outputs)
                annotate(temporary, self._fed)
                agreement = compare(merged, temporary, images)
                check(agreement)
            device = Device.named(self.target, self.session.home)
            written, agreement_ncnn = {"onnxruntime": [original, out]}, None
            if device.runtime.model_suffix == ".param":
                written["ncnn"], agreement_ncnn = self._to_ncnn([original, out], images)
            timings = predictions(network, self.plan, device, written, wanted.threads, self.session)
            timings += [measured(files, shape, wanted.threads) for files in written.values()]
            if remark := far_off(timings):
                self.session.note(f"warning: {remark}")
            if wanted.original:
                for suffix in (".onnx", *((".param", ".bin") if agreement_ncnn else ())):
                    with replacing(wanted.original.with_suffix(suffix)) as temporary:
                        temporary.write_bytes(original.with_suffix(suffix).read_bytes())
        ncnn = str(written["ncnn"][1]) if agreement_ncnn else None
        fixed = sorted(self.bench.free - free)
        exported = Exported(
            onnx=str(out),
            ncnn=ncnn,
            target=self.target,
            is_here=device.spec.measurable,
            input_shape=shape,
            preprocess=self._fed["preprocess"],
            agreement=agreement,
            agreement_ncnn=agreement_ncnn,
            timings=timings,
            free=sorted(free),
            fixed=fixed,
        )
        for path in (out, wanted.original):
            if path:
                self._describe(exported, path, merged=path is out)
        return exported

    def _to_ncnn(self, files: list[Path], images: torch.Tensor) -> tuple[list[Path], Agreement]:
        """ncnn's files of the original and the merged network, checked."""
        shape, few = self.bench.network.input_shape, images[:_CHECK_IMAGES_NCNN]
        params = [path.with_suffix(runtime.named("ncnn").model_suffix) for path in files]
        agreements = []
        networks = {_ORIGINAL: self.bench.network.untouched, "the merged network": self.merged}
        for onnx, param, (called, network) in zip(files, params, networks.items(), strict=True):
            self.session.note(f"converting {called} for ncnn")
            to_ncnn(onnx, shape, param)
            try:
                agreements.append(compare_ncnn(self.bench.network.ended(network), param, few))
                check(agreements[-1], "ncnn", called)
            except Exception:
                for path in (param, param.with_suffix(".bin")):
                    path.unlink(missing_ok=True)
                raise
        return params, agreements[-1]

    def _describe(self, exported: Exported, path: Path, merged: bool) -> None:
        """Write beside a file how it is fed, and what ``bench`` shows: its image's size and latencies."""
        predicted: dict[str, dict[str, float]] = {}
        for timing in exported.timings:
            if timing.machine != HERE:
                known = predicted.setdefault(timing.runtime, {})
                known[timing.machine] = timing.merged_ms if merged else timing.original_ms
        about = {
            "input_shape": exported.input_shape,
            "predicted_ms": predicted,
            "plan": dict(self.plan) if merged else {},
            **self._fed,
        }
        with replacing(path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(about, indent=2) + "\n")

    @property
    def _fed(self) -> dict[str, Any]:
        """How images go in, and the names of the scores that come out where there are some."""
        classes, names = self.bench.network.classes, self.bench.data.classes
        named = {"classes": list(names)} if classes == len(names) else {}
        judged = len(self.bench.data.test) and habits_of(self.bench.setup.data).cropped
        resized = pixels.steps(self.bench.network.input_shape[1:]) if judged else {}
        return {"preprocess": {**resized, **self.bench.preprocess.steps()}, **named}

    def _images(self) -> torch.Tensor:
        """Preprocessed test images, or noise if there are none."""
        bench = self.bench
        if len(bench.data.test):
            index = torch.arange(min(_CHECK_IMAGES, len(bench.data.test)))
            return bench.inputs(bench.data.test)(index)
        generator = torch.Generator().manual_seed(bench.setup.seed)
        size = (_CHECK_IMAGES, *bench.network.input_shape)
        return bench.preprocess(torch.randint(256, size, generator=generator, dtype=torch.uint8))
