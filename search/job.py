"""The main job: load, measure, search. Reads top to bottom."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna

from search import study
from search.evaluate import Evaluator, Proxy
from search.latency import Device, Latencies
from search.setup import Setup, Watch, workbench
from search.zero_shot import ZeroShot
from training.data import NO_DATA

_GUESSING = 1.5


@dataclass(frozen=True)
class Wanted:
    """What a search is asked for."""

    setup: Setup
    proxy: Proxy
    target: str
    budget: int
    sampler: str
    name: str | None = None


def search(
    wanted: Wanted, storage: str, home: Path, watch: Watch, note: Callable[[str], None]
) -> optuna.Study:
    """Run or continue a study until it has as many finished trials as the budget says.

    Raises
    ------
    BadInputError, TargetError, UnknownKernelError
        Something that was asked for cannot be had; nothing was trained.
    """
    device = Device.named(wanted.target, home)
    study.make_sampler(wanted.sampler, 0)
    study.check_storage(storage)
    if wanted.name:
        study.check_same(wanted.name, storage, network=wanted.setup.model, target=wanted.target)
    bench = workbench(wanted.setup, home, watch, lambda network: Latencies(network, device).score({}))
    if bench.data.dropped:
        names = ", ".join(bench.data.dropped[:3]) + (" ..." if len(bench.data.dropped) > 3 else "")
        note(f"{len(bench.data.dropped)} unreadable image(s) left out: {names}")
    latencies = Latencies(bench.network, device)
    latencies.learn_all(watch)
    judge = ZeroShot if wanted.setup.zero_shot else Evaluator
    evaluator = judge(bench, latencies, wanted.proxy, home)
    name = wanted.name or _default_name(wanted, bench.network.input_shape[1])
    arguments = {
        "budget": wanted.budget,
        "sampler": wanted.sampler,
        "target": wanted.target,
        "proxy": asdict(wanted.proxy),
    }
    running = study.start(name, storage, evaluator, wanted.sampler, wanted.budget, arguments, watch)
    note(f"study {name}: {evaluator.describe()}")
    warn_of_guessing(running.user_attrs["baseline"], bench.network.classes, note)
    study.run(running, evaluator, wanted.budget, watch("trials"))
    return running


def warn_of_guessing(baseline: dict[str, float], classes: int, note: Callable[[str], None]) -> None:
    """Say so where the untouched network answers no better than chance: what is judged then means nothing."""
    if baseline.get("top1", 100.0) <= _GUESSING * 100 / classes:
        note(
            f"warning: the untouched network gets {baseline['top1']:.1f} % right, no better than guessing; "
            "do --weights, --labels and --preprocess belong to it?"
        )


def _default_name(wanted: Wanted, size: int) -> str:
    data = wanted.setup.data if wanted.setup.data != NO_DATA else wanted.setup.eval_data or "zero-shot"
    kind, _, folder = data.partition(":")
    model = wanted.setup.model.replace(":", ".")
    model = Path(model).stem if model.endswith(".onnx") else model
    return f"{model}-{wanted.target}-{Path(folder).name or kind}-{size}"
