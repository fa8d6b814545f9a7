"""The driver: the only process that asks a study for trials and reports results; a pool judges the plans."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from merges.plan import Plan
from search.engine.pool import Outcome, Pool
from search.evaluation.evaluator import Evaluation
from search.evaluation.pruning import prune_reason
from search.results.dashboard import describe_plan
from search.scoring.score import Score
from search.space.limits import Limits
from search.space.plan_space import PlanSpace
from search.study.interrupts import noticed, uninterrupted
from search.study.marks import asked_params, refused_plan, tried_again, write_reason, write_refused
from search.study.recording import trial_record
from search.study.records import TrialRecord
from search.study.storage import patiently
from search.study.study import enqueue_neighbour, finished
from training.errors import DivergedError, SearchFailedError
from training.progress import Progress

_REPEATS_BEFORE_GIVING_UP = 200
_KNOWN_BEFORE_A_PUSH = 10
_FAILURES_BEFORE_GIVING_UP = 3
_DROPPED_IN_A_ROW = 10


@dataclass(frozen=True)
class _Job:
    """A trial whose plan is being judged."""

    trial: optuna.Trial
    plan: Plan
    score: Score
    peak_bytes: int


class Driver:
    """Runs a study's trials: as many at once as the pool takes, no plan twice, none over budget."""

    def __init__(
        self,
        study: optuna.Study,
        space: PlanSpace,
        pool: Pool,
        untouched: float,
        limits: Limits,
        only_waiting: bool = False,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`untouched` is the untouched network's accuracy (percent). With `only_waiting`, only trials already
        enqueued in the study are run. `beat` is called before results are recorded.
        """
        self.study = study
        self.space = space
        self.pool = pool
        self.untouched = untouched
        self.limits = limits
        self.only_waiting = only_waiting
        self.beat = beat
        self.parameters: Any = space.parameters
        self.repeats = self.known = self.failures = self.dropped = 0
        self.open: dict[int, optuna.Trial] = {}  # asked for, not yet told
        self.at_work: dict[int, _Job] = {}
        self.trial_of: dict[str, int] = {}  # by plan: judged, or being judged

    def run(self, budget: int, progress: Progress) -> None:
        """Run trials until the study has `budget` finished ones.

        An interrupted trial is recorded as failed with its reason; finished ones are kept as they are.

        Raises
        ------
        SearchFailedError
            Several trials in a row failed.
        """
        self.take_over()
        with noticed() as interrupts:
            try:
                while (done := len(patiently(lambda: finished(self.study)))) < budget:
                    progress(done, budget)
                    self._fill(budget - done)
                    if not self.at_work:
                        progress(done, done)
                        return
                    ended = self.pool.wait()
                    self.beat()
                    for number, judged in ended:
                        self._end(number, judged)
                    if interrupts:
                        raise KeyboardInterrupt
                progress(budget, budget)
            except KeyboardInterrupt:
                self._close_all("interrupted")
                raise
            except SearchFailedError:
                self._close_all("the search ended")
                raise

    def take_over(self) -> None:
        """Requeue trials that a dead driver left running, and note which plans have been judged."""
        for trial in patiently(lambda: self.study.get_trials(deepcopy=False)):
            if trial.state == TrialState.COMPLETE:
                record = TrialRecord.read(trial)
                self.trial_of[record.plan_id] = trial.number
                self.space.remember(trial.params, record.plan)
            refused = refused_plan(trial)
            if refused is not None:
                self.space.remember(trial.params, refused)
            if trial.state == TrialState.RUNNING:
                patiently(partial(self._try_again, trial))

    def _try_again(self, trial: FrozenTrial) -> None:
        """Close a trial whose plan was not judged, and enqueue the plan."""
        self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        params = asked_params(trial)
        if set(params) == set(self.parameters):
            self.study.enqueue_trial(params, user_attrs=tried_again(trial))

    def _fill(self, missing: int) -> None:
        """Fill the pool with new plans, within the budget."""
        while len(self.at_work) < min(self.pool.size, missing) and self._submit():
            pass

    def _submit(self) -> bool:
        """Ask for trials until one is worth judging; False if no such plan is found."""
        while self.repeats < _REPEATS_BEFORE_GIVING_UP:
            if self.only_waiting and not patiently(self._waiting):
                return False
            trial = self._ask()
            try:
                job, reason = self._considered(trial)
            except Exception as error:
                self._failed(trial, error)
                continue
            if not reason:
                self.at_work[trial.number] = job
                self.trial_of[job.plan.plan_id] = trial.number
                self.pool.submit(trial.number, job.plan)
                return True
            patiently(partial(write_refused, trial, job.plan))
            self._close(trial, TrialState.PRUNED, reason)
            self.repeats += 1
            self.known = self.known + 1 if job.plan.plan_id in self.trial_of else 0
            if self.known and self.known % _KNOWN_BEFORE_A_PUSH == 0 and not self.only_waiting:
                patiently(lambda: enqueue_neighbour(self.study, self.parameters))
        return False

    def _waiting(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _ask(self) -> optuna.Trial:
        with uninterrupted():
            trial = patiently(lambda: self.study.ask(self.parameters))
            self.open[trial.number] = trial
        return trial

    def _considered(self, trial: optuna.Trial) -> tuple[_Job, str]:
        """A trial's plan with its costs, and why it is not worth judging (empty if it is)."""
        plan = self.space.plan(trial.params)
        job = _Job(trial, plan, self.space.score(plan), self.space.latencies.peak_bytes(plan))
        if plan.plan_id in self.trial_of:
            return job, f"the same plan as trial {self.trial_of[plan.plan_id]}"
        return job, self.limits.broken(job.score, job.peak_bytes) or self._prune_reason(plan)

    def _prune_reason(self, plan: Plan) -> str:
        """Why a plan is not worth training; after many in a row, one is trained all the same."""
        untouched = not plan.keys() & self.parameters.keys()  # what all others are compared with
        if self.only_waiting or untouched or self.dropped == _DROPPED_IN_A_ROW:
            reason = ""
        else:
            trials = patiently(lambda: finished(self.study))
            reason = prune_reason(trials, self.space, self.untouched, plan)
        self.dropped = self.dropped + 1 if reason else 0
        return reason

    def _end(self, number: int, judged: Outcome) -> None:
        """Record a plan's result.

        Raises
        ------
        SearchFailedError
            Several trials in a row failed.
        """
        job = self.at_work.pop(number)
        if isinstance(judged, Evaluation) and not math.isfinite(judged.value):
            judged = DivergedError(f"the accuracy is {judged.value}")
        if isinstance(judged, Exception):
            self.trial_of.pop(job.plan.plan_id)
            self._failed(job.trial, judged)
            return
        with uninterrupted():
            self._record(job, judged)
        self.repeats = self.failures = self.known = 0

    def _record(self, job: _Job, found: Evaluation) -> None:
        record = trial_record(job.plan, job.score, job.peak_bytes, found)
        latency_ms, *goals = self.space.costs(job.plan)
        patiently(lambda: record.write(job.trial))
        patiently(lambda: describe_plan(job.trial, job.plan, job.score, found))
        values = [latency_ms, found.value, *goals]
        patiently(lambda: self.study.tell(job.trial, values, skip_if_finished=True))
        del self.open[job.trial.number]

    def _failed(self, trial: optuna.Trial, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._close(trial, TrialState.FAIL, reason)
        self.failures += 1
        if self.failures >= _FAILURES_BEFORE_GIVING_UP:
            raise SearchFailedError(f"{self.failures} trials in a row failed, the last with: {reason}")

    def _close(self, trial: optuna.Trial, state: TrialState, reason: str) -> None:
        with uninterrupted():
            patiently(lambda: write_reason(trial, reason))
            patiently(lambda: self.study.tell(trial, state=state, skip_if_finished=True))
            del self.open[trial.number]

    def _close_all(self, reason: str) -> None:
        """Leave no trial running; plans that were not judged wait for the next run."""
        lost = set(self.open)
        for trial in list(self.open.values()):
            self._close(trial, TrialState.FAIL, reason)
        with uninterrupted():
            trials = patiently(lambda: self.study.get_trials(deepcopy=False)) if lost else []
            for frozen in trials:
                if frozen.number in lost:
                    patiently(partial(self._try_again, frozen))
