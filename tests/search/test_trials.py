"""What workers leave behind is closed by the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.trial import TrialState

from search.database import storage_of
from search.ledger import Ledger, open_engine
from search.limits import Limits
from search.trials import Worker

GRACE = 0.5


def test_a_trial_that_was_asked_for_but_never_claimed_is_closed_at_the_end(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(storage=storage_of(storage), study_name="s")
    study.ask()
    site = SimpleNamespace(id="layer", options=("keep", "merge"), exact=False)
    evaluator: Any = SimpleNamespace(bench=SimpleNamespace(network=SimpleNamespace(sites=(site,))))
    worker = Worker(study, evaluator, Ledger(open_engine(storage), "s", GRACE), Limits())
    worker.run(0, lambda done, total: None)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
