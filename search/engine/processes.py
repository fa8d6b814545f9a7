"""Several workers on this machine, each a process of its own."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import threadpoolctl
import torch

from search.study.interrupts import uninterrupted
from training.errors import SearchFailedError

_POLL = 0.5
_PATIENCE_SECONDS = 10.0  # a worker may be waiting for the database; most end at once


def run(count: int, work: Callable[..., None], arguments: tuple[Any, ...], watch: Callable[[], bool]) -> None:
    """Start ``work(*arguments, number)`` in `count` processes, and wait until all have ended.

    `watch` is called now and then and says whether the work is done. A worker that dies leaves its work to
    the others.

    Raises
    ------
    SearchFailedError
        All workers ended before the work was done.
    """
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_quietly, args=(work, *arguments, number)) for number in range(count)]
    try:
        _start(workers)
        while any(worker.is_alive() for worker in workers):
            watch()
            time.sleep(_POLL)
    except KeyboardInterrupt:
        _end(workers)
        raise
    if not watch() and all(worker.exitcode for worker in workers):
        codes = ", ".join(str(worker.exitcode) for worker in workers)
        raise SearchFailedError(
            f"all {count} workers ended before the budget was met (exit codes {codes}); "
            "finished trials are kept, the same command goes on"
        )


def share_cores(workers: int) -> None:
    """Let this process take no more threads than its share of the machine's cores.

    PyTorch counts its threads itself; BLAS and OpenMP take one a core, and all of them wait by spinning: with
    four workers on two cores, what the sampler works out took nine seconds instead of one.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def _start(workers: Sequence[BaseProcess]) -> None:
    """All or none; until its work begins, a worker that hears Ctrl-C keeps it in mind."""
    with uninterrupted():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        for worker in workers:
            worker.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _quietly(work: Callable[..., None], *arguments: Any) -> None:
    """Ctrl-C reaches every process of a terminal: a worker closes its trial and ends without a word.

    One that fails says why in a sentence; the others go on.
    """
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        work(*arguments)
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SystemExit(f"worker {os.getpid()} ended: {reason}") from None


def _end(workers: Sequence[BaseProcess]) -> None:
    """Ask those that have not heard it themselves to stop; give them a moment to close their trials."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for worker in workers:
        worker.join(_PATIENCE_SECONDS / len(workers))
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
            worker.join()
