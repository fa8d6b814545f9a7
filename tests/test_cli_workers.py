"""Many workers on one study: the budget is met exactly, whoever dies."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from distributed import LocalCluster
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

from search.engine.one_driver import OnlyDriver
from search.study.records import TrialRecord
from search.study.storage import storage_of
from tests.dashboard import shown
from tests.postgres import Postgres
from tests.program import ROOT, answer, run

NAME = "crew"
SMALL = ("--model", "tests.networks:mixed", "--input-size", "24", "--teacher-epochs", "1")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--proxy-steps", "2", "--relearn-steps", "1")


def start(home: Path, budget: int, workers: int, storage: str) -> subprocess.Popen[str]:
    options = ("--budget", str(budget), "--workers", str(workers), "--storage", storage, "--home", str(home))
    command = [sys.executable, str(ROOT / "cli.py"), "search", *SMALL, *PROXY, "--study", NAME, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(program: subprocess.Popen[str]) -> list[int]:
    """Processes that the program has spawned to judge plans."""
    children = Path(f"/proc/{program.pid}/task").glob("*/children")
    found = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def trials(storage: str, *states: TrialState) -> list[optuna.trial.FrozenTrial]:
    if NAME not in optuna.get_all_study_names(storage_of(storage)):
        return []
    study = optuna.load_study(study_name=NAME, storage=storage_of(storage))
    return study.get_trials(deepcopy=False, states=states or None)


def wait_for(
    what: Callable[[], bool], program: subprocess.Popen[str] | None = None, seconds: float = 240
) -> None:
    """Until it is so, while the program runs."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        assert program is None or program.poll() is None, program.communicate()[1]
        time.sleep(0.2)


def check_whole(storage: str, budget: int) -> None:
    finished = trials(storage, TrialState.COMPLETE)
    assert len(finished) == budget
    assert len({TrialRecord.read(trial).plan_id for trial in finished}) == budget
    assert not trials(storage, TrialState.RUNNING)
    check_dashboard(storage, finished)


def check_dashboard(storage: str, finished: list[optuna.trial.FrozenTrial]) -> None:
    """It opens the study, and says what the figures are and what every plan merges."""
    page = shown(storage, NAME)
    assert page["objective_names"] == ["latency (ms)", "accuracy (%)"]
    assert page["note"]["body"].startswith("# tests.networks:mixed on arm-a57")
    notes = {trial["number"]: trial["note"]["body"] for trial in page["trials"]}
    for trial in finished:
        assert f"{trial.values[0]:.2f} ms" in notes[trial.number]
        for site, option in TrialRecord.read(trial).plan.items():
            assert f"| {site} | {option} |" in notes[trial.number]


def ended(programs: list[subprocess.Popen[str]]) -> None:
    for program in programs:
        output, errors = program.communicate(timeout=400)
        assert program.returncode == 0, errors
        assert "Traceback" not in errors
        assert "Pareto front" in output


def test_sqlite_serves_four_workers(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    program = start(tmp_path, 16, 4, storage)
    wait_for(lambda: len(trials(storage, TrialState.COMPLETE)) >= 3, program)
    os.kill(workers_of(program)[0], signal.SIGKILL)
    ended([program])
    check_whole(storage, 16)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_all_workers_soon(ending: signal.Signals, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    program = start(tmp_path, 500, 2, storage)
    wait_for(lambda: len(trials(storage, TrialState.COMPLETE)) >= 2, program)
    workers = workers_of(program)
    start_of_end = time.monotonic()
    of_terminal = workers if ending == signal.SIGINT else []  # which sends it to all of them
    for pid in (program.pid, *of_terminal):
        os.kill(pid, ending)
    _, errors = program.communicate(timeout=20)
    assert time.monotonic() - start_of_end < 10  # three seconds, on cores that nobody else loads
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), seconds=10)
    assert program.returncode == 1
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not trials(storage, TrialState.RUNNING)


def test_a_lost_database_is_said_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    storage = f"sqlite:///{path}"
    program = start(tmp_path, 500, 1, storage)
    wait_for(lambda: len(trials(storage, TrialState.COMPLETE)) >= 2, program)
    shutil.copy(path, tmp_path / "copy.db")
    path.write_bytes(b"no database any more" * 1000)
    _, errors = program.communicate(timeout=120)
    assert program.returncode == 1
    assert "was lost" in errors
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    shutil.copy(tmp_path / "copy.db", path)
    assert answer("front", "--study", NAME, "--storage", storage, home=tmp_path)["trials"] >= 2


def test_workers_of_a_cluster_that_runs_already_judge_plans(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        where = ("--scheduler", cluster.scheduler_address, "--storage", storage)
        done = run("search", *SMALL, *PROXY, "--study", NAME, "--budget", 6, *where, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 workers" in done.stderr
        assert len(cluster.scheduler.workers) == 2, "they are not ours to end"
    check_whole(storage, 6)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://10.1.2.3:8786", "expected tcp://127.0.0.1:PORT, or tls://"),
        ("8786", "expected tcp://127.0.0.1:PORT"),
    ],
)
def test_a_scheduler_that_others_reach_is_refused_at_once(address: str, said: str, tmp_path: Path) -> None:
    done = run("search", *SMALL, "--scheduler", address, home=tmp_path)
    assert done.returncode == 2
    assert f"--scheduler is '{address}'" in done.stderr
    assert said in done.stderr
    assert "teacher" not in done.stderr


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    programs = Postgres.programs_here()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = Postgres(programs)
    yield server
    server.remove()


def test_a_process_takes_few_connections_of_a_server(postgres: Postgres) -> None:
    with OnlyDriver(NAME, postgres.url) as lock, create_engine(postgres.url).connect() as looking:
        for _ in range(30):
            trials(postgres.url)
            lock.renew()
        ours = "backend_type = 'client backend' and pid <> pg_backend_pid()"  # not the one that looks
        count = text(f"select count(*) from pg_stat_activity where {ours}")
        assert looking.execute(count).scalar_one() <= 3


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    first = start(tmp_path, 500, 1, storage)
    wait_for(lambda: len(trials(storage, TrialState.COMPLETE)) >= 1, first)
    second = start(tmp_path, 500, 1, storage)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "is being run by another process" in errors
    assert "--workers" in errors
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=20)
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not trials(storage, TrialState.RUNNING)


def test_postgres_serves_a_search_through_deaths_of_workers_server_and_driver(
    tmp_path: Path, postgres: Postgres
) -> None:
    budget, dice = 40, random.Random(0)
    program = start(tmp_path, budget, 8, postgres.url)
    wait_for(lambda: len(trials(postgres.url, TrialState.COMPLETE)) >= 1, program)
    for pid in dice.sample(workers_of(program), 3):
        time.sleep(dice.uniform(0.2, 1))
        os.kill(pid, signal.SIGKILL)
    postgres.stop()
    time.sleep(2)
    postgres.start()
    wait_for(lambda: len(trials(postgres.url, TrialState.COMPLETE)) >= 12, program)
    workers = workers_of(program)
    program.kill()
    program.communicate(timeout=20)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), seconds=30)
    before = {trial.number for trial in trials(postgres.url, TrialState.COMPLETE)}
    ended([start(tmp_path, budget, 2, postgres.url)])
    check_whole(postgres.url, budget)
    assert before <= {trial.number for trial in trials(postgres.url, TrialState.COMPLETE)}
