"""What workers of one machine leave to each other."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import threadpoolctl
import torch

from search.engine.processes import share_cores


def threads_of_a_worker(workers: int) -> list[int]:
    """Threads of every library in a process that shares the machine with others."""
    share_cores(workers)
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info())]


def test_workers_take_no_more_threads_than_there_are_cores() -> None:
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        threads = pool.submit(threads_of_a_worker, cores).result()
    assert len(threads) > 1
    assert set(threads) == {1}
