"""The main job: load, measure, search. Reads top to bottom."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna

from search import study
from search.evaluate import Evaluator, Proxy
from search.latency import Device, Latencies
from search.setup import Setup, Watch, workbench


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
    evaluator = Evaluator(bench, latencies, wanted.proxy, home)
    name = wanted.name or _default_name(wanted, bench.network.input_shape[1])
    arguments = {
        "budget": wanted.budget,
        "sampler": wanted.sampler,
        "target": wanted.target,
        "proxy": asdict(wanted.proxy),
    }
    running = study.start(name, storage, evaluator, wanted.sampler, arguments, watch)
    note(f"study {name}: {wanted.proxy.describe()}")
    study.run(running, evaluator, wanted.budget, watch("trials"))
    return running


def _default_name(wanted: Wanted, size: int) -> str:
    kind, _, folder = wanted.setup.data.partition(":")
    model = wanted.setup.model.replace(":", ".")
    model = Path(model).stem if model.endswith(".onnx") else model
    return f"{model}-{wanted.target}-{Path(folder).name or kind}-{size}"
