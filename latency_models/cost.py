"""Sums over kernels, which can be added to and taken from each other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latency_models.kernel import Kernel
from latency_models.predict import Latency
from latency_models.target import KINDS


class Times(Protocol):
    """What knows how long kernels take."""

    def latency(self, kernel: Kernel) -> Latency:
        """The time of one kernel."""


@dataclass(frozen=True)
class Total:
    """A latency with what it rests on: milliseconds, and how many kernels rest on what."""

    latency_ms: float
    error: float
    kinds: dict[str, int]
    outside: int

    @property
    def kind(self) -> str:
        """The weakest kind among the kernels."""
        return max(self.kinds, key=KINDS.index, default="measured")

    def basis(self) -> str:
        """One phrase that says what the number rests on."""
        parts = [
            f"{count} kernel{'s' if count != 1 else ''} {kind}" for kind, count in sorted(self.kinds.items())
        ]
        if self.outside:
            parts.append(f"{self.outside} of them outside the measured range")
        if "emulated" in self.kinds:
            parts.append(f"expected error {100 * self.error:.0f} %")
        return ", ".join(parts)


@dataclass(frozen=True)
class Cost:
    """What some kernels cost; a difference of two may hold negative numbers.

    `error_us` adds up, since the errors of one operation's model do not cancel.
    """

    by_op_us: Mapping[str, float]
    error_us: float
    kinds: Mapping[str, int]
    outside: int
    macs: int
    parameters: int

    @classmethod
    def of(cls, times: Times, kernels: Iterable[Kernel]) -> "Cost":
        """The sum over some kernels.

        Raises
        ------
        UnknownKernelError
            The target's table knows nothing about an operation.
        """
        by_op_us: dict[str, float] = {}
        kinds: Counter[str] = Counter()
        error_us, outside, macs, parameters = 0.0, 0, 0, 0
        for kernel in kernels:
            latency = times.latency(kernel)
            by_op_us[kernel.op] = by_op_us.get(kernel.op, 0.0) + latency.us
            kinds[latency.kind] += 1
            error_us += latency.us * latency.error
            outside += latency.outside
            macs += kernel.macs
            parameters += kernel.parameters
        return cls(by_op_us, error_us, kinds, outside, macs, parameters)

    @property
    def latency_us(self) -> float:
        return sum(self.by_op_us.values())

    def total(self) -> Total:
        """The latency with what it rests on."""
        us = self.latency_us
        kinds = {kind: count for kind, count in self.kinds.items() if count > 0}
        return Total(us / 1000, self.error_us / max(us, 1e-9), kinds, self.outside)

    def __add__(self, other: "Cost") -> "Cost":
        return self._with(other, 1)

    def __sub__(self, other: "Cost") -> "Cost":
        return self._with(other, -1)

    def _with(self, other: "Cost", sign: int) -> "Cost":
        return Cost(
            {op: self.by_op_us.get(op, 0.0) + sign * us for op, us in other.by_op_us.items()}
            | {op: us for op, us in self.by_op_us.items() if op not in other.by_op_us},
            self.error_us + sign * other.error_us,
            {kind: self.kinds.get(kind, 0) + sign * count for kind, count in other.kinds.items()}
            | {kind: count for kind, count in self.kinds.items() if kind not in other.kinds},
            self.outside + sign * other.outside,
            self.macs + sign * other.macs,
            self.parameters + sign * other.parameters,
        )
