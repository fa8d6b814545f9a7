"""The cases of ``rivals.py``: networks with their images, and how all that is compared is trained."""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.commands import terminal  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.config import DEFAULT_DATA, ModelConfig  # noqa: E402
from training.data.dataset import Images  # noqa: E402
from training.finetune.fit import Fit, Inputs, Log, fit  # noqa: E402
from training.finetune.objectives import Distillation  # noqa: E402
from training.metrics import evaluate  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.progress import Session, Watch  # noqa: E402
from training.store import WeightStore, weights_of  # noqa: E402
from training.workbench import Workbench, workbench  # noqa: E402

UNTOUCHED, OURS, PAPER = "untouched", "ours", "paper"
INT8 = "int8"  # made of others, which may be ours


@dataclass(frozen=True)
class Case:
    """A network and its images. `speedups` are asked of searches, `ratios` of what prunes channels.

    `rates` are tried by every method, at its middle setting; the one that is best on the proxy split is kept.
    `narrow` are the shares of channels that ours may begin with, one search each, beside one with all.
    `like` names the case whose teacher and plans it takes.
    """

    model: str
    passes: int
    teacher_epochs: int
    data: str = ""  # the folder that is given
    input_size: int = 64
    trials: int = 60
    speedups: tuple[float, ...] = (1.5, 2.0, 3.0)
    ratios: tuple[float, ...] = (0.25, 0.4, 0.55)
    rates: tuple[float, ...] = (0.004, 0.012)
    narrow: tuple[float, ...] = ()
    like: str = ""


CASES = {
    "digits": Case(
        "resnet18",
        4,
        4,
        DEFAULT_DATA,
        trials=20,
        speedups=(2.0, 4.0, 8.0),
        ratios=(0.3, 0.6, 0.75),
        rates=(0.001, 0.004, 0.012),
    ),
    "googlenet": Case("googlenet", 12, 20, speedups=(2.0, 2.3, 2.6, 3.0), narrow=(0.75, 0.5)),
    "mobilenet_v2": Case(
        "mobilenet_v2",
        12,
        20,
        speedups=(1.6, 2.0, 2.4, 2.5, 2.6, 3.0, 3.4),
        ratios=(0.15, 0.3, 0.45),
        narrow=(0.75, 0.5),
    ),
    "googlenet-1-pass": Case("googlenet", 1, 20, speedups=(1.5, 2.0, 2.3), like="googlenet"),
    "mobilenet_v2-1-pass": Case(
        "mobilenet_v2",
        1,
        20,
        speedups=(1.3, 1.6, 2.0),
        ratios=(0.15, 0.3, 0.45),
        like="mobilenet_v2",
    ),
    "resnet18": Case("resnet18", 12, 20, speedups=(2.0, 3.0, 4.0), narrow=(0.75, 0.5)),
    "mobilenet_v3_large": Case(
        "mobilenet_v3_large", 12, 20, speedups=(1.6, 2.0, 2.6), ratios=(0.15, 0.3, 0.45), narrow=(0.75, 0.5)
    ),
}


@dataclass(frozen=True)
class Cell:
    """One entry of the table.

    `setting` is a speed-up that is asked for, or a share of channels to prune; `seed` that of the training.
    """

    case: str
    method: str
    setting: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}-{self.setting:g}-{self.seed}"


class Bench:
    """The workbench of a case, made once for all of its cells: one teacher, and one search a method.

    `plans` is where the plans of searches are kept, `home` where the teacher is.
    """

    def __init__(self, case: Case, data: str, home: Path, plans: Path, watch: Watch) -> None:
        self.case, self.home, self.plans, self.watch = case, home, plans, watch
        self.data = case.data or f"imagefolder:{data}"

    @property
    def session(self) -> Session:
        return Session(self.home, self.watch, terminal.note)

    @cached_property
    def setup(self) -> ModelConfig:
        epochs, size = self.case.teacher_epochs, self.case.input_size
        return ModelConfig(model=self.case.model, data=self.data, input_size=size, teacher_epochs=epochs)

    @cached_property
    def bench(self) -> Workbench:
        return with_teacher(self.setup, self.case.model.rpartition(":")[2], self.session)

    def bench_of(self, plan: PlanFile) -> Workbench:
        """The workbench, with the network that a plan is of: narrowed, or with sites that are asked for."""
        if plan.narrow is None and not plan.on_request:
            return self.bench
        setup = self.setup.model_copy(update={"narrow": plan.narrow, "low_rank": plan.on_request})
        return workbench(setup, self.session, trained=weights_of(self.bench.model))

    @cached_property
    def teacher_top1(self) -> float:
        return share(self.right(self.bench.network.teacher, self.bench.data.test))

    def right(self, network: nn.Module, images: Images) -> Tensor:
        """For every image, whether the network's best class is its own."""
        return right(network, self.bench, images)

    def trained(
        self,
        network: nn.Module,
        cell: Cell,
        folder: Path,
        rate: float,
        passes: int | None = None,
        blocks: Collection[str] = (),
    ) -> nn.Module:
        """A network after the passes that all get: the teacher's answers and the labels, augmented.

        Of `blocks` it also learns the outputs.
        """
        bench, data = self.bench, self.bench.data.train
        half = half_pays(gpu=torch.cuda.is_available())
        objective = Distillation(bench.network.skeleton(), blocks, rate, labels=data.labels)
        inputs = Inputs(bench.changed, len(data), data.labels)
        folder.mkdir(parents=True, exist_ok=True)
        how = Fit(passes or self.case.passes, half=half, seed=cell.seed)
        fit(network, objective, inputs, how, Log(folder, self.watch))
        return network


def bvlc(weights: str, labels: str, data: str) -> dict[str, Any]:
    """The paper's network with its ImageNet weights on few photos: fields of a search, or of its setup."""
    return {
        "model": "bvlc_googlenet",
        "weights": weights,
        "labels": labels,
        "data": f"imagefolder:{data}",
        "input_size": 128,
        "teacher_epochs": 2,
    }


def with_teacher(setup: ModelConfig, name: str, session: Session) -> Workbench:
    """A workbench whose teacher is kept in the session's home by name, and made where it is not there."""
    store, name = WeightStore(session.home), f"teacher-{name}"
    known = store.read(name)
    if known:
        return workbench(setup.model_copy(update={"weights": None}), session, trained=known[0])
    made = workbench(setup, session)
    store.write(name, weights_of(made.model))
    return made


def right(network: nn.Module, bench: Workbench, images: Images) -> Tensor:
    """For every image, whether the network's best class is its own."""
    on = "cuda" if torch.cuda.is_available() else "cpu"
    scores = evaluate(network.to(on).eval(), bench.inputs(images), images.labels)[1]
    network.to("cpu")
    return scores.argmax(1) == images.labels


def share(right: Tensor) -> float:
    """Percent of images that are right."""
    return 100 * float(right.float().mean())


def processor() -> str:
    """What trains here."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


@dataclass(frozen=True)
class Made:
    """A finished network, with the plan where a plan made it, and how far it was narrowed; or a file."""

    network: nn.Module | None
    plan: dict[str, str] | None = None
    narrow: float | None = None
    file: Path | None = None
