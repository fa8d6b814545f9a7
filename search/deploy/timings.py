"""Latencies of an exported network beside its original: predicted for targets, measured here."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from latency_models import bench, target
from latency_models.kit import NotMeasurableError
from latency_models.measure import files_in_turn
from latency_models.predict import UnknownKernelError
from merges.network import Network
from merges.plan import Plan
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.progress import Session

HERE = "this machine"  # where files are timed whole
_FAR = 0.15


@dataclass(frozen=True)
class Timing:
    """Latencies in milliseconds on one machine; `kind` is ``measured``, or what a prediction is based on."""

    machine: str
    runtime: str
    threads: int
    kind: str
    original_ms: float
    merged_ms: float

    @property
    def speedup(self) -> float:
        return self.original_ms / self.merged_ms


def predictions(
    network: Network, plan: Plan, device: Device, runtimes: Collection[str], threads: int, session: Session
) -> list[Timing]:
    """What is predicted for the target, and for this machine with the runtimes that files are timed with.

    Kernels that this machine's tables lack are measured now. What cannot be predicted is said.
    """
    found = []
    for name in dict.fromkeys([device.spec.name, *_here(runtimes)]):
        one = device if name == device.spec.name else Device.named(name, session.home)
        try:
            found.append(_predicted(network, plan, one, session))
        except (UnknownKernelError, NotMeasurableError) as error:
            session.note(f"no prediction for {name}: {error}")
    if threads != 1:
        session.note(f"predictions for {HERE} are for 1 thread, it is timed with {threads}")
    return found


def _here(runtimes: Collection[str]) -> list[str]:
    """The targets that are this machine, with these runtimes."""
    specs = map(target.load, target.names())
    return [spec.name for spec in specs if spec.measurable and spec.runtime in runtimes]


def _predicted(network: Network, plan: Plan, device: Device, session: Session) -> Timing:
    latencies = Latencies(network, device)
    kernels = [layer.kernel for layer in (*latencies.layers(None), *latencies.layers(plan))]
    latencies.learn(kernels, session.watch(f"measuring on {device.spec.name}"))
    score = latencies.score(plan)
    spec = device.spec
    return Timing(
        spec.name, spec.runtime, spec.threads, score.total.kind, score.baseline_ms, score.latency_ms
    )


def far_off(timings: Sequence[Timing]) -> str:
    """What to do where a prediction for this machine is far from what it measures; empty where none is."""
    for real in (timing for timing in timings if timing.machine == HERE):
        here = _here({real.runtime})
        for guess in (timing for timing in timings if timing.machine in here):
            if guess.threads == real.threads and abs(guess.merged_ms / real.merged_ms - 1) > _FAR:
                return (
                    f"{guess.machine} was predicted to take {guess.merged_ms:.2f} ms and takes "
                    f"{real.merged_ms:.2f}: the machine was busy, now or when its kernels were timed; "
                    f"'profile --target {guess.machine}', with the model and its `narrow`, times them again"
                )
    return ""


def measured(files: Sequence[Path], input_shape: tuple[int, int, int], threads: int) -> Timing:
    """The original's and the merged network's files, timed in turn on this machine."""
    runtime = bench.runtime_of(files)
    timed = files_in_turn(runtime, files, input_shape, threads)
    original, merged = (median_us / 1000 for median_us, _ in timed)
    return Timing(HERE, runtime.name, threads, "measured", original, merged)
