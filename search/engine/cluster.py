"""Many workers: Dask carries plans to them and results back, and replaces those that die."""

import logging
import os
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
import threadpoolctl
import torch
from distributed import Client, LocalCluster, Worker, WorkerPlugin, get_worker

from merges.plan import Plan
from search.config import SearchConfig
from search.engine.pool import Judged
from search.evaluation.evaluator import Evaluation, Evaluator
from search.prepare import prepare
from training.errors import BadInputError, SearchFailedError
from training.progress import Note, silent

_HERE = "127.0.0.1"
_PACKAGES = ("torch", "torchvision", "numpy", "distributed")
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 60  # for a first worker, or for one to take the place of the last
_CLOSING_SECONDS = 2
_SETTINGS = {
    # A plan is not to blame for workers that were killed: it goes to the next one.
    "distributed.scheduler.allowed-failures": 20,
    # What a plan takes is the network's, not Dask's: at 95 % the nanny would kill a worker that is healthy.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "10s",
}


@dataclass(frozen=True)
class Setting:
    """What a worker needs to judge plans as the driver does: its home holds teacher and learned layers."""

    config: SearchConfig
    home: Path
    teacher: dict[str, torch.Tensor]


class Judge(WorkerPlugin):
    """Lives in every worker; makes what judges plans when the first one comes."""

    name = "rebirth"

    def __init__(self, setting: Setting, threads: int | None) -> None:
        self.setting = setting
        self.threads = threads

    def setup(self, worker: Worker) -> None:
        self.lock = Lock()
        self.evaluator: Evaluator | None = None

    def evaluate(self, plan: Plan) -> Evaluation:
        """Judge a plan, one at a time."""
        with self.lock:
            if self.evaluator is None:
                if self.threads:
                    _take_threads(self.threads)
                setting = self.setting
                made = prepare(setting.config, setting.home, silent, _unsaid, setting.teacher)
                self.evaluator = made.evaluator
            return self.evaluator.evaluate(plan)


def judge(plan: Plan) -> Evaluation:
    """Judge a plan in the worker that this runs in."""
    plugin = get_worker().plugins[Judge.name]
    assert isinstance(plugin, Judge)
    return plugin.evaluate(plan)


class Workers:
    """A pool of the workers of a cluster."""

    def __init__(self, client: Client, setting: Setting, threads: int | None) -> None:
        self.client = client
        self.trials: dict[distributed.Future, int] = {}
        client.register_plugin(Judge(setting, threads))

    @property
    def size(self) -> int:
        """As many plans as there are workers."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, number: int, plan: Plan) -> None:
        self.trials[self.client.submit(judge, plan, key=f"trial-{number}", pure=False)] = number

    def wait(self) -> list[tuple[int, Judged]]:
        """See ``Pool``.

        Raises
        ------
        SearchFailedError
            No worker is left, and none came for a minute.
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
                    "no worker is left; finished trials are kept, the same command continues"
                )
            _next(list(self.trials))
            waited += _POLL_SECONDS


def _next(futures: list[distributed.Future]) -> None:
    """Wait until one of them is done, for a moment at most."""
    try:
        distributed.wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        return


def _result(future: distributed.Future) -> Judged:
    error = future.exception()
    return error if isinstance(error, Exception) else future.result()


@contextmanager
def local(workers: int, note: Note) -> Iterator[Client]:
    """So many processes of this machine, which share its cores; they end with this process, however it does.

    Ctrl-C reaches every process of a terminal: workers do not hear it, and are ended by the driver.
    """
    resource_tracker.ensure_running()  # it unblocks signals where it is started
    with dask.config.set(_SETTINGS), _unheard():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=_HERE,
            dashboard_address=f"{_HERE}:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        client = Client(cluster)
    note(f"{workers} workers; who works on what: {client.dashboard_link} (with bokeh installed)")
    try:
        yield client
    finally:
        _end_at_once(cluster)
        for opened in (client, cluster):
            with suppress(TimeoutError):  # what is left ends with this process
                opened.close(timeout=_CLOSING_SECONDS)


def _end_at_once(cluster: LocalCluster) -> None:
    """Nobody waits any more for what workers do; asked to stop, they would end their plans first."""
    for nanny in cluster.workers.values():
        nanny.close_gracefully()  # starts no other worker
        if nanny.pid:
            os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def joined(address: str, note: Note) -> Iterator[Client]:
    """The workers of a cluster that runs already.

    Raises
    ------
    BadInputError
        Nobody answers at the address, or a worker has other versions of what decides results.
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
                    "results would not be the same: install equal versions"
                )


def versions() -> dict[str, str]:
    """Of what decides results, here."""
    return {package: version(package) for package in _PACKAGES}


def share_of(workers: int) -> int:
    """Threads for each of so many workers of this machine."""
    return max(1, (os.cpu_count() or 1) // workers)


def _take_threads(threads: int) -> None:
    """PyTorch counts its threads itself; BLAS and OpenMP take one a core, and all of them wait by spinning:
    with four workers on two cores, what the sampler works out took nine seconds instead of one.
    """
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


@contextmanager
def _unheard() -> Iterator[None]:
    """Processes and threads that are started meanwhile do not hear Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unsaid(text: str) -> None:
    """Tell nobody."""
