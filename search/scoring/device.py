"""A target with its timings, ready to predict and, where it can, to measure."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from latency_models import kit, measure, runtime, target
from latency_models.cost import Total
from latency_models.kernel import Kernel
from latency_models.predict import Predictor
from latency_models.store import Store
from latency_models.table import LatencyTable, Measurement
from training.files import sqlite_url
from training.progress import Progress, quiet


class Device:
    """A target with its table of timings; measures what is missing, if it can."""

    def __init__(self, spec: target.Target, home: Path) -> None:
        self.spec = spec
        self.runtime = runtime.named(spec.runtime).on(spec)
        self.path = home / "tables.db"
        if spec.grows:
            known = self.path.exists()  # to look makes no file
            self.table = self._store.load(spec.name, spec.measurable) if known else LatencyTable()
        else:
            self.table = LatencyTable.load(target.TABLES / spec.table) if spec.table else LatencyTable()
        self.predictor = Predictor(spec, self.table, home)

    @classmethod
    def named(cls, name: str, home: Path) -> "Device":
        """A target by name; the user's own tables and targets are under `home`."""
        return cls(target.load(name, home), home)

    def seen_as(self, spec: target.Target) -> "Device":
        """The same device with another target description."""
        return Device(spec, self.path.parent)

    @cached_property
    def _store(self) -> Store:
        return Store(sqlite_url(self.path))

    @property
    def source(self) -> str:
        """Where the timings come from."""
        return f"{self.spec.source} ({self.spec.device}, {self.spec.runtime})"

    def describe(self, total: Total) -> str:
        """What a latency is based on."""
        return f"{total.basis()} - {self.source}"

    def learn(
        self,
        kernels: Iterable[Kernel],
        progress: Progress = quiet,
        again: bool = False,
        at_once: int = kit.AT_ONCE,
    ) -> int:
        """Measure kernels that the table lacks (all of them with `again`), and keep the timings.

        Returns their number. For `at_once` see ``kit.write``.
        """
        wanted = [k for k in dict.fromkeys(kernels) if again or self.table.get(k) is None]
        if not self.spec.measurable or not wanted:
            return 0
        measure.measure(self.runtime, self.spec, wanted, self.keep, progress, at_once)
        return len(wanted)

    def learn_whole(self, network: Kernel, again: bool = False) -> int:
        """Time a network in one piece where the table lacks it (or with `again`), and keep that.

        Returns 1 if it was timed.

        Raises
        ------
        NotMeasurableError
            The runtime cannot run it whole.
        """
        if not self.spec.measurable or (self.table.get(network) and not again):
            return 0
        measure.measure(self.runtime, self.spec, [], self.keep, network=network)
        return 1

    def keep(self, rows: Sequence[Measurement]) -> None:
        """Put measurements into the table and the database."""
        self.table.add(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._store.keep(self.spec.name, rows)
