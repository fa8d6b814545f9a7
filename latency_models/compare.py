"""Two tables side by side."""

from dataclasses import dataclass
from statistics import median

from latency_models.table import LatencyTable


@dataclass(frozen=True)
class Ratio:
    """The second table's times over the first's, for the kernels of one operation."""

    op: str
    kernels: int
    median_ratio: float
    least_ratio: float
    most_ratio: float


@dataclass(frozen=True)
class Difference:
    """What two tables have in common, and how their times relate there."""

    common: int
    only_first: int
    only_second: int
    by_op: tuple[Ratio, ...]


def tables(first: LatencyTable, second: LatencyTable) -> Difference:
    """Compare kernel by kernel (paired by the kernel itself, never by order)."""
    common = [kernel for kernel in first.rows if kernel in second.rows]
    ratios: dict[str, list[float]] = {}
    for kernel in common:
        ratio = second.rows[kernel].median_us / max(first.rows[kernel].median_us, 1e-9)
        ratios.setdefault(kernel.op, []).append(ratio)
    by_op = tuple(
        Ratio(op, len(values), median(values), min(values), max(values)) for op, values in ratios.items()
    )
    return Difference(len(common), len(first) - len(common), len(second) - len(common), by_op)
