"""The main job: load, measure, search. Reads top to bottom."""

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from scipy.stats import spearmanr

from merges.network import Network
from search.accuracy_model import ENOUGH_PLANS, AccuracyModel
from search.engine import processes
from search.engine.claims import Claims, open_engine
from search.engine.trials import Worker
from search.engine.unclaimed import close_left
from search.evaluation.bounds import Limits, reachable
from search.evaluation.evaluator import Evaluator
from search.evaluation.proxy_budget import carried_on, paced
from search.evaluation.zero_shot import ZeroShot
from search.proxy import Proxy
from search.results.dashboard import describe_study
from search.scoring.availability import priced
from search.scoring.latency import Device, Latencies
from search.scoring.objectives import goals
from search.space.parameters import to_params
from search.study import study
from search.study.recording import study_record
from search.study.records import StudyRecord, reason_of, write_accuracy_model
from search.study.storage import patiently
from training.blocks.store import WeightStore
from training.config import ModelConfig
from training.data.loading import NO_DATA
from training.errors import BadInputError, SearchFailedError
from training.models.loading import is_onnx
from training.progress import Progress, Watch, silent
from training.sizes import Shape, written
from training.workbench import workbench

_GUESSING = 1.5
_SEEDS_APART = 1009
_TEAM = 8  # letters: with those of its own, a worker's name has the 40 that a claim holds


@dataclass(frozen=True)
class SearchConfig:
    """What a search is asked for.

    With `proxy_seconds`, the proxy takes as many steps as fit into them. `bank` is the address of learned
    layers, elsewhere than in the program's home. `goals` are objectives beside latency and accuracy, and
    `also_targets` targets whose latencies are objectives too.
    """

    setup: ModelConfig
    proxy: Proxy
    target: str
    budget: int
    sampler: str
    name: str | None = None
    resume: bool = True
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    proxy_seconds: float | None = None
    bank: str | None = None
    goals: tuple[str, ...] = ()
    also_targets: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """What a study records of them beside its setup."""
        recorded = ("proxy_seconds", "budget", "sampler", "target", "proxy", "limits")
        return {name: value for name, value in asdict(self).items() if name in recorded}


def search(
    config: SearchConfig, storage: str, home: Path, watch: Watch, note: Callable[[str], None]
) -> optuna.Study:
    """Run or continue a study until it has as many finished trials as the budget says.

    Raises
    ------
    BadInputError, TargetError, UnknownKernelError
        Something that was asked for cannot be had; nothing was trained.
    SearchFailedError
        Trials fail again and again, none finished, or the database was lost.
    """
    study.check_storage(storage)
    if config.name:
        study.check_same(config.name, storage, network=config.setup.model, target=config.target)
    evaluator = evaluator_of(config, home, watch, note)
    name = config.name or _default_name(config, evaluator.bench.network.input_shape)
    begun = study.recorded(name, storage)
    if begun and not config.resume:
        raise BadInputError(f"study {name!r} exists in {storage}; choose another --study, or --resume it")
    if config.proxy_seconds is not None:
        seconds = config.proxy_seconds
        if begun:
            earlier = begun.arguments["proxy_seconds"], begun.proxy.finetune_steps
            proxy = carried_on(*earlier, config.proxy, seconds)
        else:
            proxy = paced(evaluator, seconds, note)
        evaluator, config = evaluator.with_proxy(proxy), replace(config, proxy=proxy)
    looking = watch("finding what can be reached")
    note(reachable(evaluator.latencies, evaluator.estimates, evaluator.exact, config.limits, looking))
    running = study.start(name, storage, study_record(evaluator, config.arguments()))
    if not begun:
        describe_study(running, evaluator.describe())
    if not begun or evaluator.enumerates:
        first, network = evaluator.first_plans(config.budget), evaluator.bench.network
        study.enqueue(running, ((name, to_params(network, plan)) for name, plan in first))
    note(f"study {name}: {evaluator.describe()}")
    warn_of_guessing(StudyRecord.read(running), note)
    progress = watch("trials")
    with study.kept(storage):
        if config.workers == 1 or evaluator.enumerates:
            _worker(running, evaluator, config, storage, config.setup.seed).run(config.budget, progress)
        else:
            _together(running, config, storage, home, progress)
        _account_for(running, config.budget, note)
        _foretell(running, evaluator)
    return running


def _account_for(running: optuna.Study, budget: int, note: Callable[[str], None]) -> None:
    """Say so where a search ended before its budget was met.

    Raises
    ------
    SearchFailedError
        It has no finished trial at all.
    """
    count = len(study.finished(running))
    if count >= budget:
        return
    refused = running.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    why = f", the last: {reason_of(refused[-1])}" if refused else ""
    text = f"ended after {count} of {budget} trials: no other plan was found that is worth training{why}"
    if not count:
        raise SearchFailedError(f"{text}; widen the limits, or offer more sites")
    note(text)


def _foretell(running: optuna.Study, evaluator: Evaluator) -> None:
    """Record how well the accuracy model ranks plans that it has not seen, where there are enough."""
    tried = [(trial.params, trial.values[1]) for trial in study.finished(running)]
    if len(tried) >= ENOUGH_PLANS:
        foretold = AccuracyModel(evaluator.estimates, evaluator.untouched()).left_out(tried)
        spearman = float(spearmanr(foretold, [reached for _, reached in tried])[0])
        write_accuracy_model(running, spearman, len(tried))


def _together(
    running: optuna.Study, config: SearchConfig, storage: str, home: Path, progress: Progress
) -> None:
    """Share the budget among workers of this machine; interrupted, none leaves a trial that runs."""
    name, team = running.study_name, uuid.uuid4().hex[:_TEAM]
    try:
        given = (config, name, storage, home, team)
        processes.run(config.workers, work, given, _watcher(running, config, progress))
    except KeyboardInterrupt:
        close_left(running, Claims(open_engine(storage), name), team)
        raise


def work(config: SearchConfig, name: str, storage: str, home: Path, team: str, number: int) -> None:
    """Take part in a study that has been started, as one of several workers of this machine."""
    processes.share_cores(config.workers)
    evaluator = evaluator_of(config, home, silent, lambda text: None)
    seed = config.setup.seed + _SEEDS_APART * number
    opened = patiently(lambda: study.open_study(name, storage))
    worker = patiently(lambda: _worker(opened, evaluator, config, storage, seed, team))
    worker.run(config.budget, lambda done, total: None)


def _worker(
    running: optuna.Study, evaluator: Evaluator, config: SearchConfig, storage: str, seed: int, team: str = ""
) -> Worker:
    """Another seed every time that a study is continued: the same plans need not be drawn again."""
    running.sampler = evaluator.sampler(config.sampler, seed + len(running.trials), config.limits)
    ledger = Claims(open_engine(storage), running.study_name, crew=team)
    return Worker(running, evaluator, ledger, config.limits)


def _watcher(running: optuna.Study, config: SearchConfig, progress: Progress) -> Callable[[], bool]:
    def done() -> bool:
        count = patiently(lambda: len(study.finished(running)))
        progress(count, config.budget)
        return count >= config.budget

    return done


def evaluator_of(config: SearchConfig, home: Path, watch: Watch, note: Callable[[str], None]) -> Evaluator:
    """What judges plans: images, teacher, and a table that knows every kernel."""
    store = WeightStore(config.bank or home / "bank")
    store.check()
    devices = [Device.named(name, home) for name in (config.target, *config.also_targets)]

    def check(network: Network) -> None:
        for device in devices:
            Latencies(network, device).score({})

    bench = workbench(config.setup, home, watch, check, note)
    latencies, *others = priced(bench.network, devices)
    bench = replace(bench, network=latencies.network)
    for known in (latencies, *others):
        known.learn_all(watch)
    judge = ZeroShot if config.setup.zero_shot else Evaluator
    evaluator = judge(bench, latencies, config.proxy, store, goals(config.goals, latencies, others))
    evaluator.weigh(watch("scoring every option"))
    return evaluator


def warn_of_guessing(record: StudyRecord, note: Callable[[str], None]) -> None:
    """Say so where the untouched network answers no better than chance: what is judged then means nothing."""
    right = record.baseline.accuracies.top1 if record.baseline.accuracies else 100.0
    if right <= _GUESSING * 100 / record.classes:
        note(
            f"warning: the untouched network gets {right:.1f} % right, no better than guessing; "
            "do --weights, --labels and --preprocess belong to it?"
        )


def _default_name(config: SearchConfig, shape: Shape) -> str:
    data = config.setup.data if config.setup.data != NO_DATA else config.setup.eval_data or "zero-shot"
    kind, _, folder = data.partition(":")
    model = config.setup.model.replace(":", ".")
    model = Path(model).stem if is_onnx(model) else model
    targets = "+".join((config.target, *config.also_targets))
    return f"{model}-{targets}-{Path(folder).name or kind}-{written(shape)}"
