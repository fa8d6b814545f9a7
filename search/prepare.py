"""Prepares a search: the teacher and its images, the space of plans, and their evaluator."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from merges.network import Network
from search.config import SearchConfig
from search.evaluation import zero_shot
from search.evaluation.evaluator import Evaluator
from search.evaluation.fine_tuned import FineTuned
from search.proxy import Proxy
from search.scoring.availability import priced
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.scoring.objectives import goals
from search.space.plan_space import PlanSpace
from training.files import sweep
from training.metric import WEIGHTS
from training.progress import Session
from training.store import WeightStore
from training.workbench import Workbench, workbench


@dataclass(frozen=True)
class Prepared:
    """Everything a search needs besides its study."""

    bench: Workbench
    space: PlanSpace
    evaluator: Evaluator
    proxy: Proxy


def prepare(config: SearchConfig, session: Session, trained: Mapping[str, Tensor] | None = None) -> Prepared:
    """Load the network and images, train a teacher if it has no weights, and measure unknown kernels.

    `trained` are the teacher's weights, if another process has trained it.

    Raises
    ------
    BadInputError, TargetError, UnknownKernelError
        The request cannot be met; nothing was trained.
    """
    store = WeightStore(config.bank or session.home / "bank", session.note)
    store.check()
    sweep(session.home)
    devices = [Device.named(name, session.home) for name in (config.target, *config.also_targets)]

    for device in devices:
        if device.table.remark:
            session.note(f"warning: {device.spec.name}: {device.table.remark}")

    def check(network: Network) -> None:
        for device in devices:
            Latencies(network, device).score({})

    bench = workbench(config.setup, session, check, trained)
    latencies, *others = priced(bench.network, devices)
    bench = replace(bench, network=latencies.network)
    for known in (latencies, *others):
        known.learn_all(session.watch, session.note)
    losses = zero_shot.losses_of(bench.network) if config.setup.zero_shot else {}
    space = PlanSpace(
        latencies,
        session.watch("scoring every option"),
        goals(config.goals, latencies, others),
        zero_shot.that_add_up(losses),
    )
    proxy = replace(config.proxy, metric=bench.metric)
    evaluator: Evaluator = FineTuned(bench, proxy, store)
    if config.setup.zero_shot:
        no_images = bench.metric == WEIGHTS
        evaluator = zero_shot.KeptWeights(losses) if no_images else zero_shot.Inherited(bench)
    return Prepared(bench, space, evaluator, proxy)
