"""Latency of plans on a target: the sum over the kernels that the target's runtime really executes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from latency_models import measure, runtime, target
from latency_models.kernel import Kernel, Layer
from latency_models.predict import Latency, Predictor, Total
from latency_models.table import LatencyTable
from merges.network import Block, Network
from merges.rule import Site
from search.lower import lower

Progress = Callable[[int, int], None]
Watch = Callable[[str], Progress]


def _silent(done: int, total: int) -> None:
    pass


class Device:
    """A target with its table: answers for kernels, and measures what it can and does not know."""

    def __init__(self, spec: target.Target, home: Path) -> None:
        self.spec = spec
        self.runtime = runtime.discover()[spec.runtime]
        self.path = home / "tables" / f"{spec.name}.csv" if spec.measurable else target.TABLES / spec.table
        self.table = LatencyTable.load(self.path)
        self.predictor = Predictor(spec, self.table)

    @classmethod
    def named(cls, name: str, home: Path) -> "Device":
        """A target by its name; tables measured here live under `home`."""
        return cls(target.load(name), home)

    @property
    def source(self) -> str:
        """Where the numbers come from, for people."""
        return f"{self.spec.source} ({self.spec.device}, {self.spec.runtime})"

    def describe(self, total: Total) -> str:
        """What a latency rests on, for people."""
        return f"{total.basis()} - {self.source}"

    def learn(self, kernels: Iterable[Kernel], progress: Progress = _silent, again: bool = False) -> int:
        """Measure kernels that the table does not hold (all of them with `again`) and save the table."""
        wanted = [k for k in dict.fromkeys(kernels) if again or self.table.get(k) is None]
        if not self.spec.measurable or not wanted:
            return 0
        self.table.add(measure.measure(self.runtime, self.spec.threads, wanted, progress))
        self.table.save(self.path)
        return len(wanted)


@dataclass(frozen=True)
class Score:
    """What a plan costs, without any training."""

    total: Total
    baseline_ms: float
    by_class_ms: dict[str, float]
    macs: int
    parameters: int

    @property
    def latency_ms(self) -> float:
        return self.total.latency_ms

    @property
    def speedup(self) -> float:
        return self.baseline_ms / self.latency_ms


class Latencies:
    """Scores plans of one network on one device; every block is lowered once for each of its choices."""

    def __init__(self, network: Network, device: Device) -> None:
        self.network = network
        self.device = device
        skeleton = network.skeleton()
        inside = frozenset(block.name for block in network.blocks)
        self._rest = device.runtime.fuse(lower(skeleton, skip=inside))
        self._blocks: dict[tuple[str, frozenset[tuple[str, str]]], list[Layer]] = {}

    def layers(self, choices: Mapping[str, str]) -> list[Layer]:
        """The kernels of a plan with the names of their layers."""
        made = [
            layer for block in self.network.blocks for layer in self._block(block, block.choices(choices))
        ]
        return self._rest + made

    def _block(self, block: Block, choices: Mapping[str, str]) -> list[Layer]:
        key = (block.name, frozenset(choices.items()))
        if key not in self._blocks:
            rebuilt, _ = self.network.rebuild(block, choices)
            self._blocks[key] = self.device.runtime.fuse(lower(rebuilt))
        return self._blocks[key]

    def macs_of(self, site: Site) -> int:
        """Multiply-accumulates of the untouched layers that a site may change."""
        return sum(layer.kernel.macs for layer in self.layers({}) if layer.name in site.labels)

    def score(self, choices: Mapping[str, str]) -> Score:
        """Latency, MACs and parameters of a plan.

        Raises
        ------
        UnknownKernelError
            The target's table knows nothing about an operation of the network.
        """
        layers, baseline = self.layers(choices), self.layers({})
        self.device.learn(layer.kernel for layer in (*layers, *baseline))
        by_class: dict[str, float] = {}
        for layer in layers:
            us = self.device.predictor.latency(layer.kernel).us
            by_class[layer.kernel.op] = by_class.get(layer.kernel.op, 0.0) + us / 1000
        kernels = [layer.kernel for layer in layers]
        return Score(
            total=self.device.predictor.total(kernels),
            baseline_ms=self.device.predictor.total(layer.kernel for layer in baseline).latency_ms,
            by_class_ms=by_class,
            macs=sum(kernel.macs for kernel in kernels),
            parameters=sum(kernel.parameters for kernel in kernels),
        )

    def by_layer(self) -> list[tuple[Layer, Latency]]:
        """Every kernel of the untouched network with its latency, in network order."""
        order = {name: i for i, name in enumerate(layer.name for layer in lower(self.network.teacher))}
        layers = sorted(self.layers({}), key=lambda layer: order.get(layer.name, len(order)))
        self.device.learn(layer.kernel for layer in layers)
        return [(layer, self.device.predictor.latency(layer.kernel)) for layer in layers]

    def learn_all(self, watch: Watch, again: bool = False) -> int:
        """Measure every kernel that any plan can reach; how many (none where a table is shipped)."""
        if not self.device.spec.measurable:
            return 0
        kernels = [layer.kernel for layer in self._rest]
        listed = [(block, choices) for block in self.network.blocks for choices in block.all_choices()]
        progress = watch("listing the kernels of all plans")
        for done, (block, choices) in enumerate(listed):
            kernels += [layer.kernel for layer in self._block(block, choices)]
            progress(done + 1, len(listed))
        return self.device.learn(kernels, watch(f"measuring them on {self.device.spec.name}"), again)

    def score_options(self, progress: Progress = _silent) -> dict[str, dict[str, Score]]:
        """The score of every option of every site, each chosen alone: by site, then by option."""
        sites = self.network.sites
        scores: dict[str, dict[str, Score]] = {}
        for done, site in enumerate(sites):
            scores[site.id] = {option: self.score({site.id: option}) for option in site.options}
            progress(done + 1, len(sites))
        return scores
