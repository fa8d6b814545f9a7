"""Trials: taken from a study one by one, judged, and recorded with how they ended and why."""

import random
import time
from contextlib import suppress
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from merges.plan import Plan
from search.engine.claims import PLAN, SLOT, TRIAL, Claims
from search.engine.unclaimed import unclaimed
from search.evaluation.evaluator import Evaluation, Evaluator
from search.evaluation.pruning import prune_reason
from search.results.dashboard import describe_plan
from search.space.bounds import Limits
from search.space.plan_space import PlanSpace
from search.study.interrupts import noticed, uninterrupted
from search.study.recording import trial_record
from search.study.records import tried_again, write_reason
from search.study.storage import patiently
from search.study.study import finished
from training.errors import SearchFailedError
from training.progress import Progress

_REPEATS_BEFORE_GIVING_UP = 200
_KNOWN_BEFORE_A_PUSH = 10
_FAILURES_BEFORE_GIVING_UP = 3
_DROPPED_IN_A_ROW = 10
_POLL = 0.5
_KNOWN = "the same plan as trial"
_TAKEN_OVER = "another worker took over what this one left for too long"
_Outcome = tuple[TrialState, str]


class Worker:
    """Fills slots of a study's budget, one after the other, beside other workers or alone."""

    def __init__(
        self,
        study: optuna.Study,
        space: PlanSpace,
        evaluator: Evaluator,
        ledger: Claims,
        limits: Limits,
        only_waiting: bool = False,
    ) -> None:
        """With `only_waiting`, no other trials are run than those that wait in the study."""
        self.study = study
        self.space = space
        self.evaluator = evaluator
        self.ledger = ledger
        self.limits = limits
        self.only_waiting = only_waiting
        self.parameters: Any = space.parameters
        self.repeats = self.known = self.failures = self.dropped = 0
        self.asked: list[int] = []

    def run(self, budget: int, progress: Progress) -> None:
        """Run trials until `budget` of them have finished, here or elsewhere; no plan is trained twice.

        An interrupted trial is recorded as failed with its reason; finished ones are kept as they are.

        Raises
        ------
        SearchFailedError
            Several trials in a row failed.
        """
        with noticed() as self.asked, self.ledger.alive():
            while (done := patiently(lambda: len(finished(self.study)))) < budget:
                progress(done, budget)
                slot = patiently(lambda: self._take(budget))
                if slot is None:
                    time.sleep(_POLL)
                elif not self._fill(slot):
                    patiently(partial(self.ledger.release, SLOT, slot))
                    progress(done, done)
                    break
            else:
                progress(done, budget)
            while patiently(self._bury_forgotten):
                time.sleep(_POLL)

    def _take(self, budget: int) -> str | None:
        """A slot of the budget that nobody fills; None where others are at work on all that are left.

        A slot that was settled by a trial which counts for nothing is replaced by one more.
        """
        rows = self.ledger.rows(SLOT)
        trials = self.study.get_trials(deepcopy=False)
        states: dict[int | None, TrialState] = {trial.number: trial.state for trial in trials}
        self._bury_forgotten()
        lost = sum(done and states.get(trial) != TrialState.COMPLETE for trial, done, _ in rows.values())
        for slot in map(str, range(budget + lost)):
            trial, done, lives = rows.get(slot, (None, False, False))
            if done or (slot in rows and lives):
                continue
            if trial is not None and states.get(trial) == TrialState.COMPLETE:
                self.ledger.settle(SLOT, slot, trial)
            elif self.ledger.claim(SLOT, slot):
                self._bury(trial)
                return slot
        return None

    def _bury_forgotten(self) -> bool:
        """Close running trials that belong to no claim: True where some are too young yet.

        Their worker died, or lost the database, between asking for a trial and claiming it. One that lives
        claims its trial well within the time after which a claim counts as dead.
        """
        forgotten = unclaimed(self.study, self.ledger)
        oldest = time.time() - self.ledger.grace
        dead = [t for t in forgotten if t.datetime_start is None or t.datetime_start.timestamp() < oldest]
        for trial in dead:
            self._bury(trial.number)
        return len(dead) < len(forgotten)

    def _bury(self, number: int | None) -> None:
        """Close the trial of a worker that died; its plan will be tried again."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in (t for t in running if t.number == number):
            with uninterrupted(), suppress(UpdateFinishedTrialError):  # another worker was faster
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                self.ledger.abandon(trial.number)
                if set(trial.params) == set(self.parameters):
                    self.study.enqueue_trial(trial.params, user_attrs=tried_again(trial.number))

    def _fill(self, slot: str) -> bool:
        """Run trials until one finishes; False where no plan is left that was not tried.

        Raises
        ------
        SearchFailedError
            Several trials in a row failed.
        """
        while self.repeats < _REPEATS_BEFORE_GIVING_UP:
            if self.only_waiting and not patiently(self._waiting):
                return False
            state, reason = self._turn(slot)
            if self.asked:
                raise KeyboardInterrupt
            self.repeats = self.repeats + 1 if state == TrialState.PRUNED else 0
            self.failures = self.failures + 1 if state == TrialState.FAIL else 0
            if self.failures >= _FAILURES_BEFORE_GIVING_UP:
                raise SearchFailedError(f"{self.failures} trials in a row failed, the last with: {reason}")
            if state == TrialState.COMPLETE or reason == _TAKEN_OVER:
                return True
            self.known = self.known + 1 if reason.startswith(_KNOWN) else 0
            if self.known and self.known % _KNOWN_BEFORE_A_PUSH == 0 and not self.only_waiting:
                patiently(lambda: _push(self.study, self.parameters))
        return False

    def _waiting(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _turn(self, slot: str) -> _Outcome:
        """Ask for one trial, judge its plan unless it is known, and record how it ended and why."""
        trial: optuna.Trial | None = None
        plan: Plan | None = None
        try:
            with uninterrupted():
                trial = self._ask()
                self._note(SLOT, slot, trial)
            plan = self.space.plan(trial.params)
            if not self._claim(plan, trial):
                known, trial = trial, None  # closed here: an interrupt meanwhile must not close it again
                return self._close(known, TrialState.PRUNED, self._known_as(plan))
            score, peak_bytes = self.space.score(plan), self.space.latencies.peak_bytes(plan)
            reason = self.limits.broken(score, peak_bytes) or self._prune_reason(plan)
            if reason:
                refused, trial = trial, None
                return self._close(refused, TrialState.PRUNED, reason)
            evaluation = self.evaluator.evaluate(plan)
            with uninterrupted():
                judged, trial = trial, None
                return self._record(slot, judged, plan, evaluation)
        except KeyboardInterrupt:
            if trial is not None:
                self._close(trial, TrialState.FAIL, "interrupted")
            raise
        except UpdateFinishedTrialError:  # another worker closed this trial
            self._give_up(plan)
            return TrialState.PRUNED, _TAKEN_OVER
        except (SQLAlchemyError, StorageInternalError):
            raise
        except Exception as error:
            if trial is None:
                raise
            self._give_up(plan)
            return self._close(trial, TrialState.FAIL, f"{type(error).__name__}: {error}")

    def _ask(self) -> optuna.Trial:
        """A trial that no other worker has: in SQLite, Optuna may give a waiting one to two at once."""
        while True:
            trial = patiently(lambda: self.study.ask(self.parameters))
            key = str(trial.number)
            if patiently(partial(self.ledger.claim, TRIAL, key, trial.number)):
                patiently(partial(self.ledger.finish, TRIAL, key))
                return trial

    def _prune_reason(self, plan: Plan) -> str:
        """Why a plan is not worth training; after many such in a row, one is trained all the same."""
        if self.only_waiting or self.dropped == _DROPPED_IN_A_ROW:
            reason = ""
        else:
            untouched = self.evaluator.baseline.percent
            reason = patiently(lambda: prune_reason(finished(self.study), self.space, untouched, plan))
        self.dropped = self.dropped + 1 if reason else 0
        return reason

    def _record(self, slot: str, trial: optuna.Trial, plan: Plan, evaluation: Evaluation) -> _Outcome:
        if not (self._note(SLOT, slot, trial) and self._note(PLAN, plan.plan_id, trial)):
            return self._close(trial, TrialState.PRUNED, _TAKEN_OVER)
        score, peak_bytes = self.space.score(plan), self.space.latencies.peak_bytes(plan)
        patiently(lambda: trial_record(plan, score, peak_bytes, evaluation).write(trial))
        latency_ms, *goals = self.space.costs(plan)
        values = [latency_ms, evaluation.percent, *goals]
        patiently(lambda: describe_plan(trial, plan, score, evaluation))
        told = patiently(lambda: self.study.tell(trial, values, skip_if_finished=True))
        if told.state != TrialState.COMPLETE or not patiently(lambda: self.ledger.finish(SLOT, slot)):
            return TrialState.PRUNED, _TAKEN_OVER
        patiently(lambda: self.ledger.finish(PLAN, plan.plan_id))
        return TrialState.COMPLETE, ""

    def _close(self, trial: optuna.Trial, state: TrialState, reason: str) -> _Outcome:
        with uninterrupted(), suppress(UpdateFinishedTrialError):  # closed by who took it over
            patiently(lambda: write_reason(trial, reason))
            patiently(lambda: self.study.tell(trial, state=state, skip_if_finished=True))
        return state, reason

    def _give_up(self, plan: Plan | None) -> None:
        if plan is not None:
            patiently(lambda: self.ledger.release(PLAN, plan.plan_id))

    def _note(self, kind: str, key: str, trial: optuna.Trial) -> bool:
        return patiently(lambda: self.ledger.note_trial(kind, key, trial.number))

    def _claim(self, plan: Plan, trial: optuna.Trial) -> bool:
        return patiently(lambda: self.ledger.claim(PLAN, plan.plan_id, trial.number))

    def _known_as(self, plan: Plan) -> str:
        trial, *_ = patiently(lambda: self.ledger.rows(PLAN)).get(plan.plan_id, (None,))
        return f"{_KNOWN} {trial}"


def _push(study: optuna.Study, space: dict[str, Any]) -> None:
    """Have a finished plan tried next with another option at one site.

    For samplers that propose the same plan again and again: Optuna's learn nothing from one that is refused.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [trial.params for trial in trials if trial.state == TrialState.COMPLETE]
    chance = random.Random(len(trials))
    site = chance.choice(list(space))
    if finished:
        study.enqueue_trial(chance.choice(finished) | {site: chance.choice(space[site].choices)})
