"""The page about a study, in a real browser where there is one."""

import base64
import gzip
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search.results import html
from search.results.front import front_of
from search.study import recorded
from search.study.marks import for_preset
from search.study.records import StudyRecord, TrialRecord
from search.study.storage import storage_of
from tests.recorded import cost, record, record_trial

BROWSER = next(
    (name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
)
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
TRIALS = 24


NAME = "</script> & co"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study as a search leaves it, without the search."""
    url = f"sqlite:///{tmp_path_factory.mktemp('study') / 'studies.db'}"
    sampler = optuna.samplers.RandomSampler(seed=0)
    made = optuna.create_study(
        storage=storage_of(url), directions=["minimize", "maximize"], study_name=NAME, sampler=sampler
    )
    record(made, cost(10.0, {"conv": 8.0, "lrn": 2.0}), 90.0)
    options = optuna.distributions.CategoricalDistribution(["keep", "merged"])
    for number in range(TRIALS):
        trial = made.ask({f"site{bit}": options for bit in range(4)})
        plan = {site: option for site, option in trial.params.items() if option != "keep"}
        values = [10.0 - 2 * len(plan) + 0.01 * number, 90.0 - len(plan) - 0.02 * number]
        record_trial(trial, plan, *values)
        for key, value in for_preset("paper" if number == 3 else "").items():
            trial.set_user_attr(key, value)
        made.tell(trial, values)
    return url


@pytest.fixture(scope="module")
def written(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "front.html"
    study = recorded.read(NAME, url)
    html.write_page(study, front_of(study), path)
    return path


def test_the_page_asks_the_network_for_nothing(written: Path) -> None:
    text = written.read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", text)
    assert "<title>net on t</title>" in text


@pytest.mark.parametrize("size", ["1200,900", "559,900", "500,900"])
def test_it_shows_every_finished_trial_without_an_error(
    written: Path, url: str, size: str, tmp_path: Path
) -> None:
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--window-size={size}"]
    command += [
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
        f"--user-data-dir={tmp_path}",
        written.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    plot = done.stdout.split('id="front"')[1].split('id="growth"')[0]
    found = front_of(recorded.read(NAME, url))
    untouched = papers = knees = 1
    points = len(re.findall(r'<path class="point', plot))
    assert points == len(found.points) + len(found.others) + untouched + papers + knees == TRIALS + 3
    assert plot.count("<tr") == len(found.points) + 1


def test_few_trials_give_a_page_that_says_so(tmp_path: Path, url: str) -> None:
    whole = recorded.read(NAME, url)
    few = replace(whole, trials=whole.trials[:2])
    html.write_page(few, front_of(few), tmp_path / "few.html")
    assert "finished trials are needed" in unpacked(tmp_path / "few.html")


def test_it_is_read_as_optuna_has_it(url: str) -> None:
    """The tables are Optuna's: read without its objects, they hold the same."""
    study = optuna.load_study(study_name=NAME, storage=storage_of(url))
    running = study.ask()
    found = recorded.read(NAME, url)
    for ours, theirs in zip(found.trials, study.get_trials(states=(TrialState.COMPLETE,)), strict=True):
        assert (ours.number, list(ours.values)) == (theirs.number, theirs.values)
        assert ours.ended == theirs.datetime_complete
        assert ours.record == TrialRecord.read(theirs)
        assert ours.preset == (theirs.number == 3)
    assert found.record == StudyRecord.read(study)
    study.tell(running, state=TrialState.FAIL)


def unpacked(path: Path) -> str:
    """The script of a page."""
    (packed,) = re.findall(r'atob\("([^"]+)"\)', path.read_text())
    return gzip.decompress(base64.b64decode(packed)).decode()
