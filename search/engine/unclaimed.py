"""Trials that run by the database, though no claim says that somebody works on them."""

from contextlib import suppress
from functools import partial

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from search.engine.claims import SLOT, Claims
from search.study.storage import patiently


def unclaimed(study: optuna.Study, ledger: Claims) -> list[optuna.trial.FrozenTrial]:
    """Trials that run by the database but belong to no claim."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    claimed = {trial for trial, _, _ in ledger.rows(SLOT).values()} if running else set()
    return [trial for trial in running if trial.number not in claimed]


def close_left(study: optuna.Study, ledger: Claims, crew: str) -> None:
    """Close the trials of interrupted workers that had to be ended by force before they could do it.

    Those that nobody has claimed are closed too: should another program have asked for one just now, it
    notices, and takes the next.
    """
    patiently(lambda: ledger.give_up(crew))
    for trial in patiently(lambda: unclaimed(study, ledger)):
        with suppress(UpdateFinishedTrialError):
            patiently(partial(study.tell, trial.number, state=TrialState.FAIL, skip_if_finished=True))
