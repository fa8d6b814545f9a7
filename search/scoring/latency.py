"""Latency of plans on a target: the sum over the kernels that its runtime executes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from latency_models.cost import Cost
from latency_models.kernel import Kernel, Layer
from latency_models.kit import NotMeasurableError
from latency_models.memory import peak_bytes
from latency_models.predict import Latency
from merges.blocks import Block
from merges.network import Network
from merges.rule import Site
from search.scoring.additivity import adds_up
from search.scoring.alone import all_together
from search.scoring.device import Device
from search.scoring.lowering import end_of, lower
from search.scoring.score import Score
from training import threads
from training.progress import Note, Progress, Watch, quiet, unsaid

# A program does other work between two inferences. With so many times the memory of the untouched network
# between two runs of a kernel, small networks are predicted as `bench` times them (benchmarks/first_hour.py);
# with once, the merged one seems 5 % faster than it is.
_BETWEEN = 2.5
_SHARED = 0.3  # of a core that is timed on: what a system does beside

_Choices = tuple[str, frozenset[tuple[str, str]]]


class Latencies:
    """Scores plans of one network on one device, against the untouched network.

    The change in latency due to a block's choices is computed once, with all other blocks untouched; a plan's
    latency is the untouched network's plus the changes of its blocks. Where these do not add up, every plan's
    kernels are listed anew, which takes twenty times as long.

    Where the untouched network was timed in one piece too, all kernels are scaled alike, so that it takes as
    long as it does there: timed one by one, kernels wait longer for code and weights than in a small network.
    """

    def __init__(self, network: Network, device: Device) -> None:
        self.network = network
        self.device = device
        self._rest = {layer.name: layer for layer in lower(network.skeleton())}
        self._rebuilt: dict[_Choices, tuple[list[Layer], str]] = {}
        self._costs: dict[_Choices, Cost] = {}
        self._sums: dict[frozenset[tuple[str, str]], Cost] = {}

    def layers(self, choices: Mapping[str, str] | None) -> list[Layer]:
        """All kernels of a plan's network (None: the untouched one), in order, with their layers' names."""
        if choices is None:
            return self._untouched.layers({})
        blocks = {block.name: block for block in self.network.blocks}
        ends: dict[str, str] = {}
        made: list[Layer] = []
        for name, layer in self._rest.items():
            inputs = tuple(ends.get(source, source) for source in layer.inputs)
            if name not in blocks:
                made.append(layer.reading(inputs))
                continue
            inside, end = self._inside(blocks[name], blocks[name].choices(choices))
            entry = blocks[name].entry
            for part in inside:
                sources = (inputs[0] if source == entry else source for source in part.inputs)
                made.append(part.reading(tuple(sources)))
            ends[name] = inputs[0] if end == entry else end
        return self.device.runtime.fuse(made)

    def _inside(self, block: Block, choices: Mapping[str, str]) -> tuple[list[Layer], str]:
        key = (block.name, frozenset(choices.items()))
        if key not in self._rebuilt:
            rebuilt, _ = self.network.outlines.of(block, choices)
            self._rebuilt[key] = lower(rebuilt), end_of(rebuilt)
        return self._rebuilt[key]

    def macs_of(self, site: Site) -> int:
        """MACs of the untouched layers that a site may change."""
        return sum(layer.kernel.macs for layer in self.layers({}) if layer.name in site.labels)

    @cached_property
    def _unmerged(self) -> Cost:
        return self._cost(self.layers({}))

    @cached_property
    def baseline(self) -> Score:
        """What the untouched network costs."""
        cost = self._untouched._unmerged
        return Score(cost, cost.latency_us / 1000)

    @cached_property
    def _untouched(self) -> "Latencies":
        """Those of the untouched network."""
        return self if self.network.wide is None else Latencies(self.network.wide, self.device)

    @cached_property
    def scale(self) -> float:
        """What kernels take inside the untouched network, as a share of what they take one by one."""
        if self._untouched is not self:
            return self._untouched.scale
        self._learn_whole()
        row, kernels = self.device.table.get(self.whole), [layer.kernel for layer in self.layers({})]
        if row is None:
            return 1.0
        self.learn(kernels)
        return row.median_us / Cost.of(self.device.predictor, kernels).latency_us

    @cached_property
    def whole(self) -> Kernel:
        """The untouched network, to be timed in one piece."""
        return all_together(self.network.wide or self.network)

    def _learn_whole(self, again: bool = False) -> int:
        """Time the network in one piece; where that cannot be done, kernels count as they are."""
        try:
            return self.device.learn_whole(self.whole, again)
        except NotMeasurableError:
            return 0

    def latency(self, kernel: Kernel) -> Latency:
        """The time of a kernel in this network.

        Raises
        ------
        UnknownKernelError
            The target has no latency for it.
        """
        found = self.device.predictor.latency(kernel)
        return replace(found, us=self.scale * found.us)

    def _cost(self, layers: Sequence[Layer]) -> Cost:
        kernels = [layer.kernel for layer in layers]
        self.learn(kernels)
        return Cost.of(self, kernels)

    def _added(self, block: Block, choices: dict[str, str]) -> Cost:
        key = (block.name, frozenset(choices.items()))
        if key not in self._costs:
            self._costs[key] = self._cost(self.layers(choices)) - self._unmerged
        return self._costs[key]

    def score(self, choices: Mapping[str, str] | None) -> Score:
        """Latency, MACs and parameters of a plan; None: of the untouched network.

        Raises
        ------
        UnknownKernelError
            The target has no latency for an operation of the network.
        """
        if choices is None:
            return self.baseline
        picked = [(block, block.choices(choices)) for block in self.network.blocks]
        if sum(bool(chosen) for _, chosen in picked) > 1 and not self._adds_up:
            cost = self._together({site: option for _, chosen in picked for site, option in chosen.items()})
        else:
            cost = self._unmerged
            for block, chosen in picked:
                if chosen:
                    cost = cost + self._added(block, chosen)
        return Score(cost, self.baseline.latency_ms)

    @cached_property
    def _adds_up(self) -> bool:
        return adds_up(self.network.blocks, self.layers)

    def _together(self, choices: dict[str, str]) -> Cost:
        key = frozenset(choices.items())
        if key not in self._sums:
            self._sums[key] = self._cost(self.layers(choices))
        return self._sums[key]

    def peak_bytes(self, choices: Mapping[str, str] | None) -> int:
        """Peak memory of the maps of a plan's network (None: the untouched one) for one image, in bytes."""
        return peak_bytes(self.layers(choices))

    def by_layer(self, choices: Mapping[str, str] | None) -> list[tuple[Layer, Latency]]:
        """Every kernel of a plan's network (None: the untouched one) with its latency, in network order."""
        layers = self.layers(choices)
        self.learn(layer.kernel for layer in layers)
        return [(layer, self.latency(layer.kernel)) for layer in layers]

    def learn_all(self, watch: Watch, note: Note = unsaid, again: bool = False) -> int:
        """Measure every kernel that any plan may need, and return their number (0 for shipped tables)."""
        spec = self.device.spec
        if not spec.measurable:
            return 0
        rest, untouched = self.reachable(watch), dict.fromkeys(layer.kernel for layer in self.layers(None))
        if not again and all(self.device.table.get(kernel) for kernel in (self.whole, *untouched, *rest)):
            return 0
        idle, title = threads.idle(), f"measuring on {spec.name}"
        progress = watch(f"{title}: the network in one piece")
        progress(0, 1)
        few = self._untouched._learn_whole(again)
        progress(1, 1)
        if self._untouched is not self:  # its weights fill more of the caches
            few += self._untouched.learn(untouched, watch(title), again)
            rest = [kernel for kernel in rest if kernel not in untouched]
        count = few + self.learn(rest, watch(title), again)
        if count and idle < spec.threads - _SHARED:
            note(
                f"warning: other programs left {idle:.1f} cores of this machine when {count} kernels were "
                "timed: they may seem slower than they are; once it is idle, "
                f"'profile --target {spec.name}' with the model times them again"
            )
        return count

    def learn(self, kernels: Iterable[Kernel], progress: Progress = quiet, again: bool = False) -> int:
        """Measure kernels with caches as cold as a program leaves them, and return their number."""
        return self.device.learn(kernels, progress, again, int(_BETWEEN * self.touched_bytes))

    @cached_property
    def touched_bytes(self) -> int:
        """Bytes that one inference touches with nothing merged: weights, and maps, which reuse memory."""
        weights = sum(layer.kernel.parameters for layer in self.layers({}))
        return 4 * weights + self.peak_bytes({})

    def reachable(self, watch: Watch) -> list[Kernel]:
        """Every kernel of the untouched network, and that any choice in any block brings into this one."""
        listed = [choices for block in self.network.blocks for choices in block.all_choices()]
        progress = watch("listing the kernels of all plans")
        kernels = dict.fromkeys(layer.kernel for layer in (*self.layers(None), *self.layers({})))
        for done, choices in enumerate(listed):
            kernels |= dict.fromkeys(layer.kernel for layer in self.layers(choices))
            progress(done + 1, len(listed))
        return list(kernels)

    def score_options(self, progress: Progress = quiet) -> dict[str, dict[str, Score]]:
        """The score of every option alone, by site and option."""
        sites = self.network.sites
        scores: dict[str, dict[str, Score]] = {}
        for done, site in enumerate(sites):
            scores[site.id] = {option: self.score({site.id: option}) for option in site.names}
            progress(done + 1, len(sites))
        return scores
