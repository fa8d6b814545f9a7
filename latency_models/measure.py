"""Time kernels and whole networks on this machine: the same program that a board runs, in this process."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from latency_models import board, kit
from latency_models.board.rounds import quartiles
from latency_models.board.whole import ROUNDS, in_turn
from latency_models.kernel import Kernel
from latency_models.kit import NotMeasurableError
from latency_models.runtime import Runtime
from latency_models.table import Measurement
from latency_models.target import Target

Run = Callable[[], object]


def measure(
    runtime: Runtime,
    target: Target,
    kernels: Iterable[Kernel],
    keep: Callable[[Sequence[Measurement]], None],
    progress: Callable[[int, int], None] = lambda _, __: None,
    at_once: int = kit.AT_ONCE,
    network: Kernel | None = None,
) -> None:
    """Time each kernel once; `keep` is given the measurements group by group, so that none is lost.

    `at_once` and `network` are explained at ``kit.write``.

    Raises
    ------
    NotMeasurableError
        The runtime cannot be run here, or has no such operation.
    """
    failed: dict[str, str] = {}

    def kept(lines: list[dict[str, Any]]) -> None:
        found = kit.answer(lines)
        failed.update(found.failed)
        keep(found.rows)

    with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
        kit.write(Path(folder), target, runtime, kernels, at_once, network=network)
        assert runtime.timed is not None, "a kit is written only for what can be run"
        try:
            board.run(folder, runtime.timed, runtime.whole, progress, kept)
        except ImportError as error:
            raise NotMeasurableError(
                f"{runtime.name} cannot be run on this machine ({error}); install it with pip"
            ) from error
    if failed:
        name, reason = next(iter(failed.items()))
        raise NotMeasurableError(
            f"{runtime.name} cannot run {len(failed)} kernel(s), such as {name}: {reason}"
        )


def files_in_turn(
    runtime: Runtime, files: Sequence[Path], input_shape: tuple[int, ...] | None, threads: int
) -> list[tuple[float, float]]:
    """Median and spread in microseconds of finished models, timed in turn.

    `input_shape` is that of the image (channels, height, width); None where the files fix it.
    """
    assert runtime.whole is not None
    ready = []
    for file in files:
        job = runtime.whole_job(file, input_shape)
        paths = [str(file.with_suffix(suffix)) for suffix in job.files]
        ready.append(runtime.whole("", {"id": str(file), "files": paths, **job.details}, threads))
    return side_by_side([one.run for one in ready])


def side_by_side(runs: Sequence[Run], rounds: int = ROUNDS) -> list[tuple[float, float]]:
    """Median and spread in microseconds of some calls, timed in turn: see ``in_turn``."""
    return [quartiles(times) for times in in_turn(runs, rounds)]
