"""Studies: created, continued, run, and opened for reading. Optuna keeps them in a database."""

import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from search.evaluate import Evaluator, score_attributes
from search.interrupts import noticed, uninterrupted
from search.setup import Watch
from search.space import distributions, to_params, to_plan
from training.errors import BadInputError, SearchFailedError

SAMPLERS = ("auto", "tpe", "nsga2", "random")
_OBJECTIVES = ["latency (ms)", "accuracy (%)"]
_REPEATS_BEFORE_GIVING_UP = 200
_FAILURES_BEFORE_GIVING_UP = 3
_PACKAGES = ("torch", "torchvision", "optuna", "onnxruntime", "numpy")


optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextmanager
def _database(storage: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadInputError(
            f"the study database {storage} cannot be used ({reason}); check --storage"
        ) from error
    except ImportError as error:
        raise BadInputError(
            f"the study database {storage} needs a driver that is not installed ({error})"
        ) from error


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler by name; ``auto`` is TPE, Optuna's default for several objectives."""
    match name:
        case "auto" | "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=24)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
    raise BadInputError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")


def check_storage(storage: str) -> None:
    """Refuse a database that cannot be used, before any work is done for it."""
    with _database(storage):
        optuna.get_all_study_names(storage)


def check_same(name: str, storage: str, **identity: str) -> None:
    """Refuse early to continue a study of another network or target."""
    with _database(storage):
        if name in optuna.get_all_study_names(storage):
            _check_identity(optuna.load_study(study_name=name, storage=storage), identity)


def open_study(name: str, storage: str) -> optuna.Study:
    """A study that exists.

    Raises
    ------
    BadInputError
        The database cannot be opened or has no such study.
    """
    with _database(storage):
        try:
            return optuna.load_study(study_name=name, storage=storage)
        except KeyError as error:
            known = ", ".join(optuna.get_all_study_names(storage)) or "none yet"
            raise BadInputError(f"no study {name!r} in {storage}; it holds: {known}") from error


def start(
    name: str,
    storage: str,
    evaluator: Evaluator,
    sampler: str,
    budget: int,
    arguments: dict[str, Any],
    watch: Watch,
) -> optuna.Study:
    """Create a study or continue the one of that name; its first plans wait to be tried.

    Raises
    ------
    BadInputError
        The database cannot be used, or the study belongs to another network, target or data.
    """
    bench, device = evaluator.bench, evaluator.latencies.device
    identity = {
        "network": bench.network.name,
        "fingerprint": bench.network.fingerprint,
        "weights_fingerprint": bench.network.weights_fingerprint,
        "target": device.spec.name,
        "data_fingerprint": bench.data.fingerprint,
        "proxy": asdict(evaluator.proxy),
        "only": list(bench.setup.only),
        "skip": list(bench.setup.skip),
        "low_rank": bench.setup.low_rank,
        "zero_shot": bench.setup.zero_shot,
    }
    with _database(storage):
        if name in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=name, storage=storage)
            _check_identity(study, identity)
            if evaluator.enumerates:
                _enqueue(study, evaluator, budget, watch)
        else:
            description = _description(evaluator, identity, arguments)
            with uninterrupted():
                study = _create(name, storage, description)
            _enqueue(study, evaluator, budget, watch)
        study.sampler = make_sampler(sampler, bench.setup.seed + len(study.trials))
    return study


def _enqueue(study: optuna.Study, evaluator: Evaluator, count: int, watch: Watch) -> None:
    plans = list(evaluator.first_plans(count, watch("scoring every option")))
    with uninterrupted():
        for choices in plans:
            study.enqueue_trial(to_params(evaluator.bench.network, choices), skip_if_exists=True)


def _create(name: str, storage: str, description: dict[str, Any]) -> optuna.Study:
    study = optuna.create_study(study_name=name, storage=storage, directions=["minimize", "maximize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(_OBJECTIVES)
    for key, value in description.items():
        study.set_user_attr(key, value)
    return study


def _check_identity(study: optuna.Study, identity: dict[str, Any]) -> None:
    for key, ours in identity.items():
        theirs = study.user_attrs.get(key)
        if theirs != ours:
            raise BadInputError(
                f"study {study.study_name!r} was made with {key} {theirs!r}, not {ours!r}; "
                "choose another --study name, or give the same arguments"
            )


def _description(evaluator: Evaluator, identity: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    score = evaluator.latencies.score({})
    return (
        identity
        | evaluator.provenance()
        | {
            "input_shape": list(evaluator.bench.network.input_shape),
            "classes": evaluator.bench.network.classes,
            "setup": evaluator.bench.setup.model_dump(),
            "arguments": arguments,
            "baseline": {
                "latency_ms": score.latency_ms,
                **score_attributes(score),
                **evaluator.untouched(),
            },
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count against the budget."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def run(study: optuna.Study, evaluator: Evaluator, budget: int, progress: Callable[[int, int], None]) -> None:
    """Run trials until `budget` of them have finished; no plan is trained twice.

    An interrupted trial is recorded as failed with its reason; finished ones are kept as they are.

    Raises
    ------
    SearchFailedError
        Several trials in a row failed.
    """
    seen = {trial.user_attrs["plan_id"]: trial.number for trial in finished(study)}
    repeats = failures = 0
    progress(len(seen), budget)
    with noticed() as asked:
        while len(seen) < budget and repeats < _REPEATS_BEFORE_GIVING_UP:
            if evaluator.enumerates and not study.get_trials(False, (TrialState.WAITING,)):
                progress(len(seen), len(seen))
                break
            state, reason = _turn(study, evaluator, seen)
            if asked:
                raise KeyboardInterrupt
            repeats = repeats + 1 if state == TrialState.PRUNED else 0
            failures = failures + 1 if state == TrialState.FAIL else 0
            if failures >= _FAILURES_BEFORE_GIVING_UP:
                raise SearchFailedError(f"{failures} trials in a row failed, the last with: {reason}")
            progress(len(seen), budget)


def _turn(study: optuna.Study, evaluator: Evaluator, seen: dict[str, int]) -> tuple[TrialState, str]:
    """Ask for one trial, judge its plan unless it is known, and record how it ended and why."""
    network = evaluator.bench.network
    trial: optuna.Trial | None = None
    try:
        with uninterrupted():
            trial = study.ask(distributions(network))  # type: ignore[arg-type]
        plan = to_plan(network, trial.params, evaluator.exact)
        if plan.plan_id in seen:
            known, trial = trial, None  # closed here: an interrupt meanwhile must not close it again
            return _close(study, known, TrialState.PRUNED, f"the same plan as trial {seen[plan.plan_id]}")
        score = evaluator.latencies.score(plan.choice)
        evaluation = evaluator.judge(plan, score)
        with uninterrupted():
            notes = {"plan": plan.choice, "plan_id": plan.plan_id}
            for key, value in (notes | score_attributes(score) | evaluation.attributes()).items():
                trial.set_user_attr(key, value)
            study.tell(trial, [score.latency_ms, evaluation.percent])
            seen[plan.plan_id], trial = trial.number, None
        return TrialState.COMPLETE, ""
    except KeyboardInterrupt:
        if trial is not None:
            _close(study, trial, TrialState.FAIL, "interrupted")
        raise
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
        raise
    except Exception as error:
        if trial is None:
            raise
        return _close(study, trial, TrialState.FAIL, f"{type(error).__name__}: {error}")


def _close(
    study: optuna.Study, trial: optuna.Trial, state: TrialState, reason: str
) -> tuple[TrialState, str]:
    with uninterrupted():
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=state)
    return state, reason
