"""The cells of ``rivals.py``: one network made smaller by one method, trained as all are, and judged."""

import copy
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from merges.graph import TraceError  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.runs import load_trained  # noqa: E402
from search.deploy.train import Training, train  # noqa: E402
from search.scoring.latency import Device, Latencies  # noqa: E402
from training.config import DEFAULT_DATA, ModelConfig  # noqa: E402
from training.errors import BadInputError  # noqa: E402
from training.export import to_onnx  # noqa: E402
from training.files import replacing  # noqa: E402
from training.finetune.fit import Fit, Inputs, Log, fit  # noqa: E402
from training.finetune.objectives import Distillation, rate_for  # noqa: E402
from training.metrics import evaluate  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.progress import Session, Watch  # noqa: E402
from training.workbench import Workbench, structure, workbench  # noqa: E402

UNTOUCHED = "untouched"
_PACKAGES = ("torch", "onnxruntime", "torch-pruning", "optuna")
_PRICED = "arm-a57"
_GRADIENT_BATCHES, _BATCH, _ROUND_TO = 10, 32, 8
_CLASSES = 10  # of Imagenette, and of the digits
_DEPTH = ("linearise:*", "compose:*", "shortcut:*", "residual:*")


@dataclass(frozen=True)
class Case:
    """A network and its images. `speedups` are asked of searches, `ratios` of what prunes channels."""

    model: str
    passes: int
    teacher_epochs: int
    data: str = ""  # the folder that is given
    input_size: int = 64
    trials: int = 60
    speedups: tuple[float, ...] = (1.5, 2.0, 3.0)
    ratios: tuple[float, ...] = (0.25, 0.4, 0.55)


CASES = {
    "digits": Case("resnet18", 4, 4, DEFAULT_DATA, trials=20, speedups=(2.0, 4.0), ratios=(0.3, 0.6)),
    "googlenet": Case("googlenet", 12, 20),
    "mobilenet_v2": Case("mobilenet_v2", 12, 20, speedups=(1.3, 1.6, 2.0), ratios=(0.15, 0.3, 0.45)),
    "resnet18": Case("resnet18", 12, 20),
    "mobilenet_v3_large": Case("mobilenet_v3_large", 12, 20, speedups=(1.3, 1.6, 2.0)),
}


@dataclass(frozen=True)
class Cell:
    """One entry of the table. `setting` is a speed-up that is asked for, or a share of channels to prune."""

    case: str
    method: str
    setting: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.setting:g}-{self.seed}"


class Bench:
    """The workbench of a case and seed, made once for all of its cells."""

    def __init__(self, case: Case, data: str, seed: int, home: Path, watch: Watch) -> None:
        self.case, self.seed, self.home, self.watch = case, seed, home, watch
        self.data = case.data or f"imagefolder:{data}"

    @property
    def session(self) -> Session:
        return Session(self.home, self.watch, terminal.note)

    @cached_property
    def setup(self) -> ModelConfig:
        epochs, size = self.case.teacher_epochs, self.case.input_size
        return ModelConfig(
            model=self.case.model, data=self.data, input_size=size, teacher_epochs=epochs, seed=self.seed
        )

    @cached_property
    def bench(self) -> Workbench:
        return workbench(self.setup, self.session)

    def right(self, network: nn.Module) -> Tensor:
        """For every test image, whether the network's best class is its own."""
        test = self.bench.data.test
        return evaluate(network.eval(), self.bench.inputs(test), test.labels)[1].argmax(1) == test.labels

    def trained(self, network: nn.Module, folder: Path) -> nn.Module:
        """A network after the passes that all get: the teacher's answers and the labels, augmented."""
        bench, data = self.bench, self.bench.data.train
        half = half_pays(gpu=torch.cuda.is_available())
        objective = Distillation(bench.network.skeleton(), (), rate_for(len(data)), labels=data.labels)
        inputs = Inputs(bench.changed, len(data), data.labels)
        folder.mkdir(parents=True, exist_ok=True)
        how = Fit(self.case.passes, half=half, seed=self.seed)
        fit(network, objective, inputs, how, Log(folder, self.watch))
        return network


@dataclass(frozen=True)
class Made:
    """A finished network, with the plan where a plan made it."""

    network: nn.Module
    plan: dict[str, str] | None = None


def untouched(made: Bench, cell: Cell, folder: Path) -> Made:
    """The teacher, trained on for the same passes."""
    return Made(made.trained(copy.deepcopy(made.bench.model), folder))


def _pruned(made: Bench, ratio: float, importance: Any, everywhere: bool) -> nn.Module:
    """The teacher with a share of channels pruned (Torch-Pruning, Fang et al. 2023), one-shot."""
    import torch_pruning as tp

    network = copy.deepcopy(made.bench.model).eval()
    classes = len(made.bench.data.classes)
    head = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    example = torch.randn(1, *made.bench.network.input_shape)
    pruner = tp.pruner.BasePruner(
        network,
        example,
        importance,
        global_pruning=everywhere,
        pruning_ratio=ratio,
        max_pruning_ratio=0.9,
        ignored_layers=head,
        round_to=_ROUND_TO,
    )
    data = made.bench.data.train
    images = made.bench.inputs(data)
    for index in torch.arange(_GRADIENT_BATCHES * _BATCH).split(_BATCH):
        loss = nn.functional.cross_entropy(network(images(index % len(data))), data.labels[index % len(data)])
        loss.backward()
    pruner.step()
    network.zero_grad(set_to_none=True)
    return network


def taylor(made: Bench, cell: Cell, folder: Path) -> Made:
    """Torch-Pruning: group Taylor importance, global."""
    import torch_pruning as tp

    return Made(
        made.trained(_pruned(made, cell.setting, tp.importance.GroupTaylorImportance(), True), folder)
    )


def group_norm(made: Bench, cell: Cell, folder: Path) -> Made:
    """Torch-Pruning: group L2 norm, global."""
    import torch_pruning as tp

    return Made(
        made.trained(_pruned(made, cell.setting, tp.importance.GroupMagnitudeImportance(p=2), True), folder)
    )


def width(made: Bench, cell: Cell, folder: Path) -> Made:
    """Every layer loses the same share of channels: those of the smallest L1 norm (Li et al. 2017)."""
    import torch_pruning as tp

    return Made(
        made.trained(_pruned(made, cell.setting, tp.importance.MagnitudeImportance(p=1), False), folder)
    )


def _searched(made: Bench, cell: Cell, folder: Path, **fields: Any) -> Made:
    """A plan of a search that is as fast as the setting asks, trained."""
    case = made.case
    given = made.setup.model_dump(include={"model", "data", "input_size", "teacher_epochs", "seed"})
    name = f"{cell.case}-{cell.method}-{cell.seed}"
    note = terminal.note
    study = rebirth.search(
        home=made.home,
        watch=made.watch,
        note=note,
        target="host",
        budget=case.trials,
        name=name,
        **given,
        **fields,
    )
    plan = rebirth.plan(study, speedup=cell.setting)
    setup, training = Training.of(plan, {"epochs": case.passes, "with_labels": True, "augment": True})
    train(plan, setup, training, folder, made.session)
    network = workbench(setup, made.session).network  # with the sites of this search alone
    choices = plan.fitted(network)
    merged = network.merged(choices)
    load_trained(folder, merged)
    return Made(merged, dict(choices))


def ours(made: Bench, cell: Cell, folder: Path) -> Made:
    """A search over all rules, and its plan at the asked speed-up."""
    return _searched(made, cell, folder)


def depth(made: Bench, cell: Cell, folder: Path) -> Made:
    """Activations dropped and convolutions composed (LayerMerge's idea, Kim et al. 2024), by our rules."""
    sites = {site.rule for site in made.bench.network.sites}
    only = tuple(pattern for pattern in _DEPTH if pattern.partition(":")[0] in sites)
    if not only:
        raise BadInputError(f"{made.case.model} has no activation to drop between convolutions")
    return _searched(made, cell, folder, only=only)


def skip(made: Bench, cell: Cell, folder: Path) -> Made:
    """Residual branches left out."""
    if not any(site.rule == "skip" for site in made.bench.network.sites):
        raise BadInputError(f"{made.case.model} has no residual branch to leave out")
    return _searched(made, cell, folder, only=("skip:*",))


METHODS: dict[str, Callable[[Bench, Cell, Path], Made]] = {
    UNTOUCHED: untouched,
    "ours": ours,
    "taylor": taylor,
    "group_norm": group_norm,
    "width": width,
    "depth": depth,
    "skip": skip,
}
SEARCHED = ("ours", "depth", "skip")


def cells_of(name: str, methods: list[str], seeds: list[int]) -> list[Cell]:
    """The cells of a case, those that all others are compared with first."""
    case, found = CASES[name], []
    for seed in seeds:
        for method in dict.fromkeys([UNTOUCHED, *methods]):
            of_search = case.speedups if method in SEARCHED else case.ratios
            settings = (0.0,) if method == UNTOUCHED else of_search
            found += [Cell(name, method, setting, seed) for setting in settings]
    return found


def work(cell: Cell, made: Bench, kept: Path, models: Path) -> dict[str, Any]:
    """Make, train and judge a cell's network; its JSON under `kept`, its ONNX file under `models`."""
    start = time.perf_counter()
    path = models / f"{cell.name}.onnx"
    models.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = asdict(cell) | {"passes": made.case.passes, "trials": made.case.trials}
    try:
        done = METHODS[cell.method](made, cell, models / cell.name)
    except BadInputError as error:
        about["failed"] = str(error)
    else:
        right = made.right(done.network)
        with replacing(path) as temporary:
            to_onnx(done.network, made.bench.network.input_shape, temporary)
        about |= {
            "teacher_top1": 100 * float(made.right(made.bench.network.teacher).float().mean()),
            "top1": 100 * float(right.float().mean()),
            "images": len(right),
            "right": np.packbits(right.numpy()).tobytes().hex(),
            "parameters": sum(p.numel() for p in done.network.parameters()),
            "plan": done.plan,
            "priced": _priced(path, made),
        }
    about["seconds"] = round(time.perf_counter() - start)
    about["versions"] = {name: version(name) for name in _PACKAGES}
    kept.mkdir(parents=True, exist_ok=True)
    with replacing(kept / f"{cell.name}.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return about


def _priced(path: Path, made: Bench) -> dict[str, float | str]:
    """Latency on an ARM core, predicted for the ONNX file as it is."""
    try:
        network = structure(str(path))
        return {_PRICED: Latencies(network, Device.named(_PRICED, made.home)).score({}).latency_ms}
    except (BadInputError, TraceError, LookupError) as error:
        return {"failed": str(error)}


def speedup_on(cell: dict[str, Any], target: str, home: Path) -> float:
    """A kept plan's speed-up on any target, from its network's structure alone."""
    case = CASES[cell["case"]]
    network = structure(case.model, case.input_size, _CLASSES)
    return Latencies(network, Device.named(target, home)).score(cell["plan"]).speedup
