"""Making a study is one step: complete or absent, whenever it is interrupted."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.study import recorded
from search.study import study as studies
from search.study.records import StudyRecord
from search.study.storage import storage_of
from tests.recorded import cost, record, study_record
from training.errors import BadInputError

RECORD = study_record(cost(1.0), 90.0)
PLANS = [("", {"a": "keep"}), ("paper", {"a": "cut"}), ("", {"a": "half"})]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", range(6))
def test_a_study_that_was_interrupted_while_it_was_made_is_made_anew(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    done: list[str] = []

    def dying(owner: Any, name: str) -> None:
        usual = getattr(owner, name)

        def step(*args: Any, **more: Any) -> Any:
            if len(done) == steps:
                raise Killed
            done.append(name)
            return usual(*args, **more)

        monkeypatch.setattr(owner, name, step)

    for owner, name in (
        (optuna, "create_study"),
        (optuna.Study, "set_metric_names"),
        (optuna.Study, "enqueue_trial"),
        (StudyRecord, "write"),
    ):
        dying(owner, name)
    with pytest.raises(Killed):
        studies.start("s", url, RECORD, PLANS)
    monkeypatch.undo()
    assert studies.recorded("s", url) is None
    with pytest.raises(BadInputError, match=r"no study 's'|interrupted while it was made"):
        studies.open_study("s", url)
    study = studies.start("s", url, RECORD, PLANS)
    waiting = study.get_trials(states=(TrialState.WAITING,))
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [params for _, params in PLANS]
    assert study.metric_names == ["latency (ms)", "accuracy (%)"]
    assert studies.recorded("s", url) == RECORD
    again = studies.start("s", url, RECORD, PLANS)
    assert len(again.trials) == len(PLANS)


def test_a_study_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    other = optuna.create_study(storage=storage_of(url), study_name="s")
    other.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(BadInputError, match="was not made by this program"):
        studies.start("s", url, RECORD, PLANS)
    assert len(other.trials) == 1


def test_a_study_of_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    made = optuna.create_study(study_name="s", storage=storage_of(url), directions=["minimize", "maximize"])
    record(made, cost(1.0), 90.0)
    document = dict(made.user_attrs["rebirth"])
    made.set_user_attr("rebirth", document | {"proxy": document["proxy"] | {"metric": "sqlite://"}})
    with pytest.raises(BadInputError, match=r"proxy\.metric"):
        recorded.read("s", url)


def test_a_study_goes_on_only_with_images_given_in_the_same_way() -> None:
    begun, now = (
        study_record(cost(2.0), 90.0).model_copy(update={"preprocess": p}) for p in ("0/1", "0.5/0.5")
    )
    with pytest.raises(BadInputError, match=r"study 's' was made with preprocess '0/1', not '0.5/0.5'"):
        begun.check_same("s", now)
    begun.check_same("s", begun)
    study_record(cost(2.0), 90.0).check_same("s", now)  # of before it was recorded
