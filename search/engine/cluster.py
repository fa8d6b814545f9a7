"""Many workers: Dask sends them plans, returns results, and replaces workers that die."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Lock

import dask
import distributed
import torch
from distributed import Client, LocalCluster, Worker, WorkerPlugin, get_worker

from merges.plan import Plan
from search.config import SearchConfig
from search.engine.pool import Outcome
from search.evaluation.evaluator import Evaluation, Evaluator
from search.prepare import prepare
from training import threads
from training.errors import BadInputError, SearchFailedError
from training.progress import Note, Session

_HERE = "127.0.0.1"
_PACKAGES = ("torch", "torchvision", "numpy", "distributed")
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 60  # for a first worker, or for one to take the place of the last
_CLOSING_SECONDS = 2
_SETTINGS = {
    # A plan is not to blame for workers that are killed: it goes to the next one.
    "distributed.scheduler.allowed-failures": 20,
    "distributed.comm.timeouts.connect": "10s",
    # Dask makes glibc give back freed memory at once: training then spends half its time in page faults.
    "distributed.nanny.pre-spawn-environ": {},
}


@dataclass(frozen=True)
class Setting:
    """Everything a worker needs to judge plans; `home` holds learned layers and tables."""

    config: SearchConfig
    home: Path
    teacher: dict[str, torch.Tensor]


class Judge(WorkerPlugin):
    """Lives in every worker; prepares its evaluator when the first plan comes."""

    name = "rebirth"

    def __init__(self, setting: Setting, cores: int | None) -> None:
        self.setting = setting
        self.cores = cores

    def setup(self, worker: Worker) -> None:
        self.lock = Lock()
        self.evaluator: Evaluator | None = None

    def evaluate(self, plan: Plan) -> Evaluation:
        """Judge a plan, one at a time."""
        with self.lock:
            if self.evaluator is None:
                if self.cores:
                    threads.take(self.cores)
                setting = self.setting
                made = prepare(setting.config, Session(setting.home), setting.teacher)
                self.evaluator = made.evaluator
            return self.evaluator.evaluate(plan)


def judge(plan: Plan) -> Evaluation:
    """Judge a plan, in the worker that runs this."""
    plugin = get_worker().plugins[Judge.name]
    assert isinstance(plugin, Judge)
    return plugin.evaluate(plan)


class Workers:
    """The workers of a cluster, as a pool."""

    def __init__(self, client: Client, setting: Setting, cores: int | None) -> None:
        self.client = client
        self.trials: dict[distributed.Future, int] = {}
        client.register_plugin(Judge(setting, cores))

    @property
    def size(self) -> int:
        """The number of workers."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, number: int, plan: Plan) -> None:
        self.trials[self.client.submit(judge, plan, key=f"trial-{number}", pure=False)] = number

    def wait(self) -> list[tuple[int, Outcome]]:
        """Wait for results: see ``Pool``.

        Raises
        ------
        SearchFailedError
            There has been no worker for a minute.
        """
        waited = 0.0
        while True:
            done = [future for future in self.trials if future.done()]
            if done:
                return [(self.trials.pop(future), _result(future)) for future in done]
            if self.client.scheduler_info(n_workers=-1)["workers"]:
                waited = 0.0
            elif waited >= _PATIENCE_SECONDS:
                raise SearchFailedError(
                    "no worker is left; finished trials are kept, and the same command continues"
                )
            _next(list(self.trials))
            waited += _POLL_SECONDS


def _next(futures: list[distributed.Future]) -> None:
    """Wait until one is done, but not for long."""
    try:
        distributed.wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        return


def _result(future: distributed.Future) -> Outcome:
    error = future.exception()
    return error if isinstance(error, Exception) else future.result()


@contextmanager
def local(workers: int, note: Note) -> Iterator[Client]:
    """Worker processes on this machine that share its cores, and end with this process, however it ends.

    A terminal sends Ctrl-C to every process: workers ignore it, and the driver ends them.
    """
    # Dask logs a traceback for every connection to a worker that dies, even after the cluster is closed;
    # asyncio tells of the requests that nobody waits for any more.
    for name in ("distributed", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    resource_tracker.ensure_running()  # starting it later would unblock signals
    with dask.config.set(_SETTINGS), _unheard():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=_HERE,
            dashboard_address=f"{_HERE}:0",
            memory_limit=0,  # none: at 95 % of one, a nanny kills a worker whose network is only large
            silence_logs=logging.CRITICAL,
        )
        client = Client(cluster)
    note(f"{workers} workers; who works on what: {client.dashboard_link} (with bokeh installed)")
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            cluster.sync(_end_at_once, cluster)
        for opened in (client, cluster):
            with suppress(TimeoutError):  # what is left ends with this process
                opened.close(timeout=_CLOSING_SECONDS)


async def _end_at_once(cluster: LocalCluster) -> None:
    """Kill the workers: asked to close, they would finish their plans first."""
    nannies = list(cluster.workers.values())
    for nanny in nannies:
        nanny.close_gracefully()  # or it would start another worker
    ends = [n.process.kill(_CLOSING_SECONDS / 2, executor_wait=False) for n in nannies if n.process]
    await asyncio.gather(*ends, return_exceptions=True)


@contextmanager
def joined(address: str, note: Note) -> Iterator[Client]:
    """The workers of an existing cluster.

    Raises
    ------
    BadInputError
        No scheduler with a worker answers, or a worker has other package versions.
    """
    try:
        client = Client(address, timeout=10)
        client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadInputError(
            f"`scheduler` is {address!r}, and no worker can be reached there ({error or 'time-out'}); "
            "start 'dask scheduler' and 'dask worker'"
        ) from error
    try:
        _check_versions(client)
        note(f"{len(client.scheduler_info(n_workers=-1)['workers'])} workers; {client.dashboard_link}")
        yield client
    finally:
        client.close(timeout=_CLOSING_SECONDS)


def _check_versions(client: Client) -> None:
    ours = versions()
    for worker, theirs in client.run(versions).items():
        for package, wanted in ours.items():
            if theirs[package] != wanted:
                raise BadInputError(
                    f"worker {worker} has {package} {theirs[package]}, this program {wanted}; "
                    "results would differ: install the same versions"
                )


def versions() -> dict[str, str]:
    """Versions here of the packages that decide results."""
    return {package: version(package) for package in _PACKAGES}


def share_of(workers: int) -> int:
    """Threads for each of this many workers, of those that this process has.

    Workers that took more would wait for each other by spinning: with four on two cores, a proposal took nine
    seconds instead of one.
    """
    return max(1, torch.get_num_threads() // workers)


@contextmanager
def _unheard() -> Iterator[None]:
    """Processes and threads started meanwhile ignore Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
