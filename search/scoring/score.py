"""What a plan costs."""

from dataclasses import dataclass

from latency_models.cost import Cost, Total


@dataclass(frozen=True)
class Score:
    """What a plan costs, without any training."""

    cost: Cost
    baseline_ms: float

    @property
    def total(self) -> Total:
        return self.cost.total()

    @property
    def latency_ms(self) -> float:
        return self.cost.latency_us / 1000

    @property
    def speedup(self) -> float:
        return self.baseline_ms / self.latency_ms

    @property
    def macs(self) -> int:
        return self.cost.macs

    @property
    def parameters(self) -> int:
        return self.cost.parameters

    @property
    def by_class_ms(self) -> dict[str, float]:
        """Latency by operation."""
        return {op: us / 1000 for op, us in self.cost.by_op_us.items() if us > 0}
