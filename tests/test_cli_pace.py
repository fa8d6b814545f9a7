"""What a trial may cost, in seconds."""

from pathlib import Path

import optuna
import pytest

from search.evaluation.proxy_budget import carried_on
from search.proxy import Proxy
from search.study.records import StudyRecord
from tests.program import run
from training.errors import BadInputError

SMALL = ("--model", "tests.networks:mixed", "--input-size", "24", "--study", "s")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--relearn-steps", "1")


def test_seconds_become_steps_that_a_study_keeps(tmp_path: Path) -> None:
    def search(budget: int, seconds: float) -> tuple[int, str]:
        done = run("search", *SMALL, *PROXY, "--budget", budget, "--proxy-seconds", seconds, home=tmp_path)
        return done.returncode, done.stderr

    def steps() -> int:
        study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
        assert StudyRecord.read(study).arguments["proxy_seconds"] == 3
        return StudyRecord.read(study).proxy.finetune_steps

    code, said = search(1, 1e-6)
    assert code == 2
    assert "even without fine-tuning" in said
    code, said = search(2, 3)
    assert code == 0, said
    found = steps()
    assert found > 0
    assert f"--proxy-steps {found}" in said
    code, said = search(3, 3)
    assert code == 0, said
    assert steps() == found
    with pytest.raises(BadInputError, match="begun with `proxy_seconds` 3"):
        carried_on(3, 4, Proxy(), 2)
    with pytest.raises(BadInputError, match="begun with `proxy_steps`"):
        carried_on(None, 4, Proxy(), 2)


def test_seconds_of_a_search_that_trains_nothing_are_refused(tmp_path: Path) -> None:
    done = run("search", *SMALL, "--zero-shot", "--proxy-seconds", 1, home=tmp_path)
    assert done.returncode == 2
    assert "--zero-shot trains nothing" in done.stderr
