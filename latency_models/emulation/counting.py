"""Count kernels: as kits of some dozens, one after the other, each kept when it is done."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from latency_models import kit
from latency_models.emulation.counts import Counts, counted
from latency_models.emulation.emulator import Emulator
from latency_models.kernel import Kernel
from latency_models.runtime import Runtime

_AT_ONCE = 40  # kernels; starting the runtime takes as long as some ten


def count(
    emulator: Emulator,
    runtime: Runtime,
    kernels: Iterable[Kernel],
    half: bool,
    keep: Callable[[Counts], None],
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> dict[str, str]:
    """Count kernels under the emulator; those that cannot be run, by name, with the reason.

    `keep` is given the counts of every kit as it is done.

    Raises
    ------
    EmulatorError
        The emulator is not there, or failed.
    """
    failed: dict[str, str] = {}
    wanted = list(dict.fromkeys(kernels))
    for start in range(0, len(wanted), _AT_ONCE):
        progress(start, len(wanted))
        part = wanted[start : start + _AT_ONCE]
        with tempfile.TemporaryDirectory(prefix="counting-") as folder:
            failed |= kit.write_to_count(Path(folder), runtime, part, half)
            emulator.count(Path(folder), half)
            found, refused = counted(Path(folder))
        failed |= refused
        keep(found)
    progress(len(wanted), len(wanted))
    return failed
