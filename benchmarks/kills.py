"""Searches that are killed at random moments, from the first second of a fresh study to its end.

python benchmarks/kills.py [--kills 50] [--database postgresql|sqlite] [--seed 0]

Every round starts a search with workers, and kills after a random time the driver, a worker or the whole
process group (SIGKILL); the next round continues the same study, or begins another if it is finished. After
the last kill the same command runs to its end. Then the budget must be met exactly, no plan be judged twice,
the first plans be there, nothing run and no file be left over. Some 20 minutes for 50 kills.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.study import recorded  # noqa: E402
from search.study.marks import asked_params, reason_of  # noqa: E402
from search.study.storage import storage_of  # noqa: E402
from tests.postgres import Postgres  # noqa: E402

BUDGET, WORKERS = 12, 2
SMALL = ("--model", "tests.networks:mixed", "--input-size", "24", "--teacher-epochs", "1")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--proxy-steps", "2", "--relearn-steps", "1")
WHO = ("driver", "worker", "group")


def start(home: Path, url: str, name: str) -> subprocess.Popen[bytes]:
    """A search in a process group of its own."""
    where = ("--study", name, "--storage", url, "--home", str(home))
    how = ("--budget", str(BUDGET), "--workers", str(WORKERS))
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "search", *SMALL, *PROXY, *how, *where],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=ROOT,
    )


def workers_of(program: subprocess.Popen[bytes]) -> list[int]:
    """Processes that judge plans for a search."""
    children = Path(f"/proc/{program.pid}/task").glob("*/children")
    found = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def kill(program: subprocess.Popen[bytes], who: str, dice: random.Random) -> bool:
    """Kill somebody; False where there is nobody to kill."""
    if program.poll() is not None:
        return False
    workers = workers_of(program)
    if who == "worker":
        if workers:
            os.kill(dice.choice(workers), signal.SIGKILL)
        return bool(workers)
    if who == "group":
        os.killpg(program.pid, signal.SIGKILL)
    program.kill()
    program.wait()
    gone_by = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < gone_by:
        time.sleep(0.1)
    return True


def faults(home: Path, url: str, name: str) -> list[str]:
    """What is wrong with a study that should be whole."""
    study = optuna.load_study(study_name=name, storage=storage_of(url))
    found = recorded.read(name, url)
    wrong = []
    if len(found.trials) != BUDGET:
        wrong.append(f"{len(found.trials)} trials")
    if len({trial.record.plan_id for trial in found.trials}) != len(found.trials):
        wrong.append("a plan twice")
    untouched = (t for t in study.get_trials(deepcopy=False) if set(asked_params(t).values()) == {"keep"})
    if not any(t.state == TrialState.COMPLETE or "the same plan" in reason_of(t) for t in untouched):
        wrong.append("no untouched network")
    for state in (TrialState.RUNNING, TrialState.WAITING):
        left = study.get_trials(deepcopy=False, states=(state,))
        if left:
            wrong.append(f"{len(left)} {state.name.lower()}")
    over = [path.name for path in home.rglob("*") if path.name[0] == "." or path.suffix == ".lock"]
    return wrong + over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    killed: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        programs = Postgres.programs_here() if given.database == "postgresql" else None
        server = Postgres(programs) if programs else None
        url = server.url if server else f"sqlite:///{home / 'studies.db'}"
        number = 0
        while sum(killed.values()) < given.kills:
            name = f"study-{number}"
            program = start(home, url, name)
            time.sleep(dice.uniform(0.5, 16))
            who = dice.choice(WHO)
            killed[who] += kill(program, who, dice)
            if who == "worker" or program.poll() == 0:
                program.wait()
            if program.poll() == 0:
                wrong[name] = faults(home, url, name)
                number += 1
        assert start(home, url, name).wait() == 0
        wrong[name] = faults(home, url, name)
        if server:
            server.remove()
    title = f"{given.database}: {sum(killed.values())} kills, {len(wrong)} studies of {BUDGET} trials"
    table = Table(title=title)
    for heading in ("killed", "times"):
        table.add_column(heading, justify="left" if heading == "killed" else "right")
    for who in WHO:
        table.add_row(who, str(killed[who]))
    Console().print(table)
    for name, found in wrong.items():
        print(name, "; ".join(found) or "whole")


if __name__ == "__main__":
    main()
