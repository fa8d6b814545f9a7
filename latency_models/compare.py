"""Two targets side by side."""

from dataclasses import dataclass
from statistics import median

from latency_models.predict import Predictor


@dataclass(frozen=True)
class Ratio:
    """The second target's times over the first's, for the kernels of one operation."""

    op: str
    kernels: int
    median_ratio: float
    least_ratio: float
    most_ratio: float


@dataclass(frozen=True)
class Difference:
    """What two targets have in common, and how their times relate there."""

    common: int
    only_first: int
    only_second: int
    by_op: tuple[Ratio, ...]


def targets(first: Predictor, second: Predictor) -> Difference:
    """Compare the kernels that both targets have measured, or counted under the emulator."""
    common = [kernel for kernel in first.known if kernel in second.known]
    ratios: dict[str, list[float]] = {}
    for kernel in common:
        ratio = second.latency(kernel).us / max(first.latency(kernel).us, 1e-9)
        ratios.setdefault(kernel.op, []).append(ratio)
    by_op = tuple(
        Ratio(op, len(values), median(values), min(values), max(values))
        for op, values in sorted(ratios.items())
    )
    only_first, only_second = (len(one.known) - len(common) for one in (first, second))
    return Difference(len(common), only_first, only_second, by_op)
