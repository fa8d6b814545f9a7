"""The main job, from top to bottom: load, measure, search."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from statistics import fmean

import optuna
import torch
from optuna.trial import TrialState
from scipy.stats import spearmanr

from merges.network import Network
from search.accuracy_model import ENOUGH_PLANS, MOST_PLANS, AccuracyModel
from search.config import SearchConfig
from search.deploy import finish as finishing
from search.engine.driver import Driver
from search.engine.one_driver import OnlyDriver
from search.engine.pool import Here, Pool
from search.evaluation import zero_shot
from search.evaluation.fine_tuned import FineTuned
from search.evaluation.proxy_budget import carried_on, paced, seconds_a_step
from search.prepare import Prepared, prepare
from search.proxy import Proxy
from search.remarks import remark, require_choices, require_positive
from search.results.dashboard import describe_study
from search.samplers import make_sampler
from search.study import study
from search.study.marks import reason_of, write_accuracy_model
from search.study.recording import study_record
from search.study.records import StudyRecord
from training.errors import BadInputError, SearchFailedError
from training.progress import Note, Session


def search_all(configs: Sequence[SearchConfig], storage: str, session: Session) -> list[optuna.Study]:
    """Run or continue studies of one network, narrowed in different ways, and train plans of their front.

    One that cannot be made is left out, with the reason, if others can.

    Raises
    ------
    As ``search``.
    """
    done: list[tuple[optuna.Study, Prepared]] = []
    for number, config in enumerate(configs, 1):
        share = config.setup.narrow
        what = f"{share:g} of the channels" if share else "all channels"
        if len(configs) > 1:
            session.note(f"search {number} of {len(configs)}, with {what}:")
        try:
            done.append(_search(config, storage, session, [made.bench.network for _, made in done]))
        except BadInputError as error:
            if number == len(configs) and not done:
                raise
            session.note(f"warning: no study with {what}: {error}")
    if configs[0].finish:
        _finish(done, storage, configs[0], session)
    return [study for study, _ in done]


def search(config: SearchConfig, storage: str, session: Session) -> optuna.Study:
    """Run or continue a study until it has `config.budget` finished trials.

    Raises
    ------
    BadInputError, TargetError, UnknownKernelError
        The request cannot be met; nothing was trained.
    SearchFailedError
        Trials kept failing, none finished, or the database was lost.
    """
    return search_all([config], storage, session)[0]


def _search(
    config: SearchConfig, storage: str, session: Session, searched: Sequence[Network]
) -> tuple[optuna.Study, Prepared]:
    session.home.mkdir(parents=True, exist_ok=True)
    study.check_storage(storage)
    if config.name:
        setup = config.setup
        study.check_same(config.name, storage, setup.model, config.target, setup.narrow)
    made = prepare(config, session)
    require_choices(made)
    if made.bench.network.fingerprint in [network.fingerprint for network in searched]:
        raise BadInputError("with another `narrow` that is searched it has the same channels")
    name = config.study_name(made.bench.network.input_shape)
    begun = study.recorded(name, storage)
    if begun and not config.resume:
        raise BadInputError(f"study {name!r} exists in {storage}; choose another `study`, or `resume` it")
    if isinstance(made.evaluator, FineTuned) and config.proxy_seconds is not None:
        proxy = _proxy(config.proxy_seconds, made.evaluator, made, begun, session.note)
        made = replace(made, proxy=proxy, evaluator=FineTuned(made.bench, proxy, made.evaluator.store))
        config = replace(config, proxy=proxy)  # workers prepare anew
    session.note(made.space.reachable(config.limits, session.watch("finding what can be reached")))
    untouched = made.evaluator.baseline
    require_positive(made.proxy.metric, untouched.value)
    arguments = config.arguments() | {"threads": torch.get_num_threads()}
    record = study_record(made.bench, made.space, untouched, made.proxy, arguments)
    with OnlyDriver(name, storage) as lock, study.kept(storage):
        plans = [] if begun and not config.setup.zero_shot else _first_plans(config, made)
        running = study.start(name, storage, record, plans)
        describe_study(running, made.evaluator.describe())
        if config.setup.zero_shot:
            study.enqueue(running, plans)
        session.note(f"study {name}: {made.evaluator.describe()}")
        remark(config, made, StudyRecord.read(running), session.note)
        with _pool(config, made, session) as pool:
            _driver(running, made, pool, config, lock).run(config.budget, session.watch("trials"))
        _account_for(running, config.budget, session.note)
        _record_accuracy_model(running, made)
    return running, made


def _finish(
    done: Sequence[tuple[optuna.Study, Prepared]], storage: str, config: SearchConfig, session: Session
) -> None:
    """Train the plans around the front's knee for some passes, having said what that costs."""
    names = [running.study_name for running, _ in done]
    left = finishing.missing(finishing.front_of_named(names, storage), config.finish)
    if not left:
        return
    made = done[0][1]
    seconds = [seconds_a_step(one.evaluator) for _, one in done if isinstance(one.evaluator, FineTuned)]
    assert seconds, "a study without training finishes nothing"
    images = len(made.bench.data.train)
    steps = finishing.PASSES * images / made.proxy.batch
    minutes = left * steps * fmean(seconds) / 60
    session.note(
        f"{left} plan{'s' if left > 1 else ''} to train: {finishing.PASSES} passes over {images:,} images "
        f"each, about {max(1, round(minutes))} min in all"
    )
    finishing.finish(names, storage, left, config.limits.drop, session)


def _driver(
    running: optuna.Study, made: Prepared, pool: Pool, config: SearchConfig, lock: OnlyDriver
) -> Driver:
    """The driver; its sampler gets a new seed each time the study is continued, so as not to repeat plans."""
    untouched = made.evaluator.baseline.value
    problem = made.space.problem(untouched, config.limits)
    running.sampler = make_sampler(config.sampler, config.setup.seed + len(running.trials), problem)
    only_waiting = config.setup.zero_shot
    return Driver(running, made.space, pool, untouched, config.limits, only_waiting, lock.renew)


@contextmanager
def _pool(config: SearchConfig, made: Prepared, session: Session) -> Iterator[Pool]:
    """The pool that judges plans: this process, or many workers."""
    if config.setup.zero_shot or (config.workers == 1 and not config.scheduler):
        yield Here(made.evaluator)
        return
    from search.engine import cluster  # takes a second: only where there are many

    setting = cluster.Setting(config, session.home.absolute(), made.bench.model.state_dict())
    if config.scheduler:
        with cluster.joined(config.scheduler, session.note) as client:
            yield cluster.Workers(client, setting, None)
    else:
        with cluster.local(config.workers, session.note) as client:
            yield cluster.Workers(client, setting, cluster.share_of(config.workers))


def _proxy(
    seconds: float, evaluator: FineTuned, made: Prepared, begun: StudyRecord | None, note: Note
) -> Proxy:
    """The proxy with as many steps as fit into `seconds`, or as many as the continued study used."""
    if not begun:
        return paced(evaluator, made.space.estimates, seconds, note)
    earlier = begun.arguments["proxy_seconds"], begun.proxy.finetune_steps
    return carried_on(*earlier, evaluator.proxy, seconds)


def _first_plans(config: SearchConfig, made: Prepared) -> list[tuple[str, dict[str, str]]]:
    """A study's first plans, each with the name of its preset (empty for none)."""
    found = made.space.first_plans()
    if config.setup.zero_shot:
        found = zero_shot.plans(made.space.estimates, config.budget)
    return [(name, made.space.params(plan)) for name, plan in islice(found, config.budget)]


def _account_for(running: optuna.Study, budget: int, note: Note) -> None:
    """Say why a search ended before its budget was met.

    Raises
    ------
    SearchFailedError
        No trial finished.
    """
    count = len(study.finished(running))
    if count >= budget:
        return
    refused = running.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    why = f", the last: {reason_of(refused[-1])}" if refused else ""
    text = f"ended after {count} of {budget} trials: found no other plan worth training{why}"
    if not count:
        raise SearchFailedError(f"{text}; widen the limits, or offer more sites")
    note(text)


def _record_accuracy_model(running: optuna.Study, made: Prepared) -> None:
    """Record how well the accuracy model ranks plans that it has not seen, given enough trials."""
    tried = [(trial.params, trial.values[1]) for trial in study.finished(running)[-MOST_PLANS:]]
    if len(tried) >= ENOUGH_PLANS:
        predicted = AccuracyModel(made.space.estimates, made.evaluator.baseline.value).left_out(tried)
        spearman = float(spearmanr(predicted, [reached for _, reached in tried])[0])
        write_accuracy_model(running, spearman, len(tried))
