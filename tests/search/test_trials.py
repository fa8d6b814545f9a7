"""Every trial is judged by one worker, and what workers leave behind is closed by the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from search.engine.claims import Claims, open_engine
from search.engine.trials import Worker

from merges.network import analyse
from merges.plan import Plan
from search.evaluation.evaluator import Evaluation
from search.scoring.latency import Device, Latencies
from search.space.bounds import Limits
from search.space.plan_space import PlanSpace
from search.study.records import TrialRecord
from search.study.storage import storage_of
from tests.networks import mixed
from tests.recorded import cost, record
from training.progress import quiet

GRACE = 0.5


class Judge:
    """A made-up accuracy without any learning."""

    baseline = Evaluation(90.0, None, 0.0)

    def evaluate(self, plan: Plan) -> Evaluation:
        return Evaluation(90.0 - len(plan), None, 0.1)

    def describe(self) -> str:
        return "made up"


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(
        storage=storage_of(storage), study_name="s", directions=["minimize", "maximize"]
    )
    record(study, cost(1.0), 90.0)
    ledger = Claims(open_engine(storage), "s", GRACE)
    latencies = Latencies(analyse("mixed", mixed(), (3, 24, 24)), Device.named("arm-a57", tmp_path))
    return Worker(study, PlanSpace(latencies, quiet), Judge(), ledger, Limits())


def run(worker: Worker, budget: int) -> None:
    worker.run(budget, lambda done, total: None)


def states(worker: Worker) -> list[TrialState]:
    return [trial.state for trial in worker.study.trials]


def test_a_trial_that_was_asked_for_but_never_claimed_is_closed_at_the_end(worker: Worker) -> None:
    worker.study.ask()
    run(worker, 0)
    assert states(worker) == [TrialState.FAIL]


def test_a_sampler_that_repeats_itself_does_not_end_the_search(worker: Worker) -> None:
    kept = dict.fromkeys(worker.parameters, "keep")
    worker.study.sampler = optuna.samplers.PartialFixedSampler(kept, optuna.samplers.RandomSampler(seed=0))
    run(worker, 4)
    finished = worker.study.get_trials(states=(TrialState.COMPLETE,))
    assert len({TrialRecord.read(trial).plan_id for trial in finished}) == len(finished) == 4


def test_a_slot_that_is_done_for_nothing_is_filled_again(worker: Worker) -> None:
    trial = worker.study.ask(worker.parameters)
    worker.ledger.claim("slot", "0", trial.number)
    worker.ledger.finish("slot", "0")
    worker.study.tell(trial, state=TrialState.PRUNED)
    run(worker, 2)
    assert states(worker).count(TrialState.COMPLETE) == 2


def test_a_trial_that_two_workers_were_given_is_judged_by_one(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = worker.study.ask
    given = ask(worker.parameters)
    other = Claims(worker.ledger.engine, "s")
    assert other.claim("slot", "1", given.number)
    assert other.claim("trial", str(given.number), given.number)
    twice: Iterator[optuna.Trial] = iter([given])
    monkeypatch.setattr(worker.study, "ask", lambda space: next(twice, None) or ask(space))
    run(worker, 1)
    assert states(worker) == [TrialState.RUNNING, TrialState.COMPLETE]


def test_a_trial_that_another_closed_does_not_count(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = worker.study.tell

    def told(trial: optuna.Trial, values: list[float], **how: Any) -> optuna.trial.FrozenTrial:
        if trial.number == 0:
            tell(0, state=TrialState.PRUNED)
        return tell(trial, values, **how)

    monkeypatch.setattr(worker.study, "tell", told)
    run(worker, 1)
    assert states(worker) == [TrialState.PRUNED, TrialState.COMPLETE]
