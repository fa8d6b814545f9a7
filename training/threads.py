"""How many threads a command computes with: the same for PyTorch, BLAS and OpenMP."""

import os

import psutil
from dask.system import cpu_count

_LOOK_SECONDS = 0.2


def available() -> int:
    """Cores that this process may use, by its affinity and the limits of its control group."""
    return cpu_count()


def idle() -> float:
    """Cores of the machine that nobody is using now."""
    everywhere = os.cpu_count() or 1
    return everywhere * (1 - psutil.cpu_percent(_LOOK_SECONDS) / 100)


def unused() -> int:
    """Available cores that nobody else is using now; at least one.

    Threads that wait for a core which is taken hold up all others: on two busy cores, two threads took six
    times as long as one.
    """
    return max(1, min(available(), round(idle())))


def take(threads: int) -> None:
    """Compute with so many threads from now on, in this process and those that it starts."""
    import threadpoolctl
    import torch

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)
