"""The methods of ``rivals.py``: each makes a network smaller, and trains it as all are trained."""

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch_pruning as tp
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from benchmarks.rival_cases import CASES, INT8, OURS, PAPER, UNTOUCHED, Bench, Case, Cell, Made  # noqa: E402
from benchmarks.rival_int8 import quantised  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.plans import of_preset  # noqa: E402
from search.deploy.train import Training, trained_network  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.errors import BadInputError  # noqa: E402
from training.narrowing import passes_over  # noqa: E402

_GRADIENT_BATCHES, _BATCH, _ROUND_TO = 10, 32, 8
_MOST_STEPS = 4
_CALIBRATED = 256  # images for the scales of int8
Method = Callable[[Bench, Cell, Path, float], Made]
_DEPTH = ("linearise:*", "compose:*", "shortcut:*", "residual:*")


def untouched(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """The teacher, trained on for the same passes."""
    return Made(made.trained(copy.deepcopy(made.bench.model), cell, folder, rate))


def _pruned(
    made: Bench, cell: Cell, importance: Any, everywhere: bool, steps: int = 1
) -> Iterator[nn.Module]:
    """The teacher with ever more channels pruned, up to a share (Torch-Pruning, Fang et al. 2023)."""
    network = copy.deepcopy(made.bench.model).eval()
    classes = len(made.bench.data.classes)
    head = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    example = torch.randn(1, *made.bench.network.input_shape)
    pruner = tp.pruner.BasePruner(
        network,
        example,
        importance,
        global_pruning=everywhere,
        pruning_ratio=cell.setting,
        iterative_steps=steps,
        max_pruning_ratio=0.9,
        ignored_layers=head,
        round_to=_ROUND_TO,
    )
    data = made.bench.data.train
    images = made.bench.inputs(data)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(cell.seed))
    for _ in range(steps):
        network.eval()
        for index in order[: _GRADIENT_BATCHES * _BATCH].split(_BATCH):
            nn.functional.cross_entropy(network(images(index)), data.labels[index]).backward()
        pruner.step()
        network.zero_grad(set_to_none=True)
        yield network


def _at_once(importance: Callable[[], Any], everywhere: bool) -> Method:
    """The method that prunes by an importance in one step, over all layers or in each alike."""

    def method(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
        (pruned,) = _pruned(made, cell, importance(), everywhere)
        return Made(made.trained(pruned, cell, folder, rate))

    return method


def taylor_steps(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Torch-Pruning: group Taylor importance in steps, as much training after each, in as many passes."""
    steps = min(_MOST_STEPS, made.case.passes)
    taylor, passes = tp.importance.GroupTaylorImportance(), made.case.passes // steps
    network = made.bench.model
    for number, network in enumerate(_pruned(made, cell, taylor, everywhere=True, steps=steps)):
        made.trained(network, cell, folder / f"step-{number}", rate, passes)
    return Made(network)


def _searched(made: Bench, cell: Cell, folder: Path, rate: float, **fields: Any) -> Made:
    """A plan of a search that is as fast as the setting asks, trained as by ``train``."""
    return _merged(made, cell, folder, rate, planned(made, cell, fields))


def _merged(made: Bench, cell: Cell, folder: Path, rate: float, found: PlanFile) -> Made:
    """A plan's network, trained as by ``train``.

    The passes in which a narrowed network learned before its search are passes too.
    """
    bench = made.bench_of(found)
    plan = found.fitted(bench.network)
    passes = made.case.passes - (passes_over(len(bench.data.train)) if found.narrow else 0)
    training = Training(passes, with_labels=True, rate=rate, augment=True)
    folder.mkdir(parents=True, exist_ok=True)
    bench = replace(bench, setup=bench.setup.model_copy(update={"seed": cell.seed}))
    return Made(trained_network(bench, plan, training, folder, made.session)[0], dict(plan), found.narrow)


def planned(made: Bench, cell: Cell, fields: dict[str, Any]) -> PlanFile:
    """The plan of a cell, as its searches found it; it is kept.

    Of several searches, that of the one whose plan is best before training, on held-back images.
    """
    kept = {setting: made.plans / f"{cell.method}-{setting:g}.json" for setting in made.case.speedups}
    if not kept[cell.setting].exists():
        shares = (None, *made.case.narrow) if cell.method == OURS else (None,)
        studies = [_study(made, cell, fields | {"narrow": share}) for share in shares]
        made.plans.mkdir(parents=True, exist_ok=True)
        for setting, path in kept.items():
            if not path.exists():
                with suppress(BadInputError):  # told when that plan is asked for
                    rebirth.plan(studies, speedup=setting).model_copy(update={"setup": None}).save(path)
        return rebirth.plan(studies, speedup=cell.setting)
    return PlanFile.load(kept[cell.setting])


def _study(made: Bench, cell: Cell, fields: dict[str, Any]) -> rebirth.Study:
    """A search of a method, or what it found before."""
    known = made.setup.model_dump(include={"model", "data", "input_size", "teacher_epochs"})
    name = f"{cell.case}-{cell.method}" + (f"-{fields['narrow']:g}" if fields["narrow"] else "")
    more = {"target": "host", "budget": made.case.trials, "name": name, **known, **fields}
    return rebirth.search(made.home, None, made.watch, terminal.note, **more)


def ours(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Searches over all rules, of the network and of narrowed ones, and the plan at the asked speed-up."""
    return _searched(made, cell, folder, rate)


def merged(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """As ours, of the network with all its channels alone."""
    return _searched(made, cell, folder, rate)


def paper(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """The plan that DeepRebirth's authors made by hand."""
    case = made.case
    found = of_preset("paper", case.model, case.input_size, len(made.bench.data.classes), "host", made.home)
    return _merged(made, cell, folder, rate, found)


def tucker(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Convolutions factored and nothing else (Kim et al. 2016), by our rule."""
    return _searched(made, cell, folder, rate, only=("low_rank:*",))


def depth(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Activations dropped and convolutions composed (LayerMerge's idea, Kim et al. 2024), by our rules."""
    sites = {site.rule for site in made.bench.network.sites}
    only = tuple(pattern for pattern in _DEPTH if pattern.partition(":")[0] in sites)
    if not only:
        raise BadInputError(f"{made.case.model} has no activation to drop between convolutions")
    return _searched(made, cell, folder, rate, only=only)


def skip(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Residual branches left out."""
    if not any(site.rule == "skip" for site in made.bench.network.sites):
        raise BadInputError(f"{made.case.model} has no residual branch to leave out")
    return _searched(made, cell, folder, rate, only=("skip:*",))


def int8(made: Bench, cell: Cell, folder: Path, rate: float) -> Made:
    """Static int8 by onnxruntime, one scale a channel, of the untouched network (0) or of ours."""
    source = f"{OURS if cell.setting else UNTOUCHED}-{cell.setting:g}-{cell.seed}"
    file = made.home / cell.case / f"{source}.onnx"
    if not file.exists():
        raise FileNotFoundError(f"{file.name} is not made yet; give the method `ours` too")
    images = made.bench.inputs(made.bench.data.train)(torch.arange(_CALIBRATED)).numpy()
    return Made(None, file=quantised(file, images, folder))


METHODS: dict[str, Method] = {
    UNTOUCHED: untouched,
    OURS: ours,
    "merged": merged,
    "taylor": _at_once(tp.importance.GroupTaylorImportance, everywhere=True),
    "taylor_steps": taylor_steps,
    "group_norm": _at_once(tp.importance.GroupMagnitudeImportance, everywhere=True),  # L2
    # Every layer loses the same share: filters of the smallest L1 norm (Li et al. 2017).
    "width": _at_once(partial(tp.importance.MagnitudeImportance, p=1), everywhere=False),
    "depth": depth,
    "skip": skip,
    "tucker": tucker,
    PAPER: paper,
    INT8: int8,
}
SEARCHED = (OURS, "merged", "depth", "skip", "tucker")


def _settings(case: Case, method: str) -> tuple[float, ...]:
    if method in (UNTOUCHED, PAPER):
        return (0.0,)
    if method == INT8:
        return (0.0, *case.speedups)
    return case.speedups if method in SEARCHED else case.ratios


def cells_of(name: str, methods: list[str], seeds: list[int]) -> list[Cell]:
    """The cells of a case: those that all are compared with first, and a method's middle setting first."""
    found: list[Cell] = []
    for seed in seeds:
        for method in dict.fromkeys([UNTOUCHED, *methods]):
            settings = _settings(CASES[name], method)
            middle = settings[len(settings) // 2]
            in_order = sorted(settings, key=lambda setting: setting != middle)
            found += [Cell(name, method, setting, seed) for setting in in_order]
    return found
