"""The driver: no plan twice, none beyond the budget, nothing left running, whatever the pool does."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from merges.plan import Plan
from search.engine.driver import Driver
from search.engine.pool import Outcome
from search.evaluation.evaluator import Evaluation
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space.limits import Limits
from search.space.plan_space import PlanSpace
from search.study.marks import for_preset, is_preset, reason_of
from search.study.records import TrialRecord
from search.study.storage import storage_of
from tests.conftest import analysed
from tests.recorded import cost, record
from training.errors import SearchFailedError
from training.judging import Judged
from training.progress import quiet


class Judges:
    """Several at once, the last one first, each with a made-up accuracy."""

    size = 3

    def __init__(self) -> None:
        self.plans: dict[int, Plan] = {}
        self.most = 0

    def submit(self, number: int, plan: Plan) -> None:
        self.plans[number] = plan
        self.most = max(self.most, len(self.plans))

    def wait(self) -> list[tuple[int, Outcome]]:
        number = max(self.plans)
        return [(number, self.judged(self.plans.pop(number)))]

    def judged(self, plan: Plan) -> Outcome:
        return Evaluation(Judged(90.0 - len(plan)), 0.1)


class Failing(Judges):
    def judged(self, plan: Plan) -> Outcome:
        return ValueError("no sense")


class NotFinite(Judges):
    def judged(self, plan: Plan) -> Outcome:
        return Evaluation(Judged(float("nan")), 0.1)


class Interrupted(Judges):
    def wait(self) -> list[tuple[int, Outcome]]:
        if len(self.plans) == self.size:
            raise KeyboardInterrupt
        return super().wait()


@pytest.fixture
def space(tmp_path: Path) -> PlanSpace:
    return PlanSpace(Latencies(analysed("mixed"), Device.named("arm-a57", tmp_path)), quiet)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    storage = storage_of(f"sqlite:///{tmp_path / 'studies.db'}")
    made = optuna.create_study(storage=storage, study_name="s", directions=["minimize", "maximize"])
    record(made, cost(1.0), 90.0)
    return made


class Better(Judges):
    """The more is merged, the more accurate."""

    def judged(self, plan: Plan) -> Outcome:
        return Evaluation(Judged(90.0 + len(plan)), 0.1)


def drive(study: optuna.Study, space: PlanSpace, pool: Judges, budget: int) -> None:
    Driver(study, space, pool, 90.0, Limits()).run(budget, quiet)


def check(study: optuna.Study, budget: int) -> None:
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    assert len({TrialRecord.read(trial).plan_id for trial in finished}) == len(finished) == budget
    assert not study.get_trials(states=(TrialState.RUNNING,))


def test_the_budget_is_met_exactly_by_several_at_once(study: optuna.Study, space: PlanSpace) -> None:
    pool = Judges()
    drive(study, space, pool, 7)
    check(study, 7)
    assert pool.most == 3
    drive(study, space, pool, 9)
    check(study, 9)


@pytest.mark.slow
def test_a_sampler_that_repeats_itself_does_not_end_the_search(study: optuna.Study, space: PlanSpace) -> None:
    kept = dict.fromkeys(space.parameters, "keep")
    study.sampler = optuna.samplers.PartialFixedSampler(kept, optuna.samplers.RandomSampler(seed=0))
    drive(study, space, Judges(), 3)
    check(study, 3)


def test_what_a_dead_driver_left_is_tried_again(study: optuna.Study, space: PlanSpace) -> None:
    left = study.ask(space.parameters)
    study.ask()  # died before it had its parameters
    drive(study, space, Judges(), 3)
    check(study, 3)
    plans = {TrialRecord.read(trial).plan_id for trial in study.get_trials(states=(TrialState.COMPLETE,))}
    assert space.plan(left.params).plan_id in plans


@pytest.mark.parametrize("given", [0, 1, 3])
def test_a_first_plan_that_a_driver_died_with_is_tried_again(
    given: int, study: optuna.Study, space: PlanSpace
) -> None:
    first = dict.fromkeys(space.parameters, "keep")
    study.enqueue_trial(first, user_attrs=for_preset("paper"))
    lost = study.ask()
    for name in list(space.parameters)[:given]:  # killed in the middle of taking its parameters
        lost.suggest_categorical(name, space.parameters[name].choices)
    study.sampler = optuna.samplers.PartialFixedSampler(first, optuna.samplers.RandomSampler(seed=0))
    drive(study, space, Judges(), 1)
    (finished,) = study.get_trials(states=(TrialState.COMPLETE,))
    assert finished.params == first
    assert is_preset(finished.user_attrs)


def test_several_failures_in_a_row_end_the_search(study: optuna.Study, space: PlanSpace) -> None:
    with pytest.raises(SearchFailedError, match=r"3 trials in a row failed, .*: no sense"):
        drive(study, space, Failing(), 5)
    check(study, 0)


def test_an_accuracy_that_is_not_finite_is_a_failure(study: optuna.Study, space: PlanSpace) -> None:
    with pytest.raises(SearchFailedError, match=r"3 trials in a row failed, .*: the accuracy is nan"):
        drive(study, space, NotFinite(), 5)
    check(study, 0)
    assert len(study.get_trials(states=(TrialState.FAIL,))) <= NotFinite.size + 2
    drive(study, space, Judges(), 5)
    check(study, 5)


def test_an_interruption_leaves_nothing_running_and_the_next_run_goes_on(
    study: optuna.Study, space: PlanSpace
) -> None:
    with pytest.raises(KeyboardInterrupt):
        drive(study, space, Interrupted(), 6)
    check(study, 0)
    assert {reason_of(trial) for trial in study.get_trials(states=(TrialState.FAIL,))} == {"interrupted"}
    waiting = study.get_trials(states=(TrialState.WAITING,))
    assert len(waiting) == Interrupted.size, "they are tried by the next run"
    drive(study, space, Judges(), 6)
    check(study, 6)


def test_the_untouched_network_is_judged_whatever_is_predicted(study: optuna.Study, space: PlanSpace) -> None:
    drive(study, space, Better(), 12)
    tried = [trial for trial in study.trials if set(trial.params.values()) == {"keep"}]
    if not tried:  # a kill took it from the beginning of the study to its end
        study.enqueue_trial(dict.fromkeys(space.parameters, "keep"))
        drive(study, space, Better(), 13)
        tried = [trial for trial in study.trials if set(trial.params.values()) == {"keep"}]
    assert tried[0].state == TrialState.COMPLETE, reason_of(tried[0])
