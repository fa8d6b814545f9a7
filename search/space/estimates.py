"""Estimates of every option before any plan is trained."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from merges.network import Network
from merges.rule import discover
from search.scoring.latency import Latencies
from search.space.additive import Estimates, OptionEstimate
from search.space.problem import searched
from training.progress import Progress

_ANY_CHANGE = 0.02
_A_LAYER = 0.04
_Item = tuple[str, str]
_LAYERS = ("conv", "maxpool", "avgpool", "linear")
_LEAST_SAVED = 1e-4


def weigh(
    latencies: Latencies, losses: Mapping[str, Mapping[str, float]] | None, progress: Progress
) -> Estimates:
    """What every searched option saves and loses when it alone is chosen.

    Options that save nothing are left out. Losses are guesses unless `losses` gives them.
    """
    untouched, depth = latencies.score({}), _depth(latencies, {})
    sites = searched(latencies.network)
    steps = len(sites) + len(latencies.network.blocks)
    estimates: dict[str, dict[str, OptionEstimate]] = {}
    for done, site in enumerate(sites):
        macs = max(latencies.macs_of(site), 1)
        estimates[site.id] = {}
        for option in site.names:
            score = latencies.score({site.id: option})
            saved_ms = untouched.latency_ms - score.latency_ms
            lost = (untouched.macs - score.macs) / macs
            if losses:
                loss = losses[site.id].get(option, 0.0)
            else:
                loss = guessed_loss(lost, depth - _depth(latencies, {site.id: option}))
            if saved_ms > _LEAST_SAVED * untouched.latency_ms:
                estimates[site.id][option] = OptionEstimate(saved_ms, loss)
        progress(done + 1, steps)

    def further(done: int, total: int) -> None:
        progress(len(sites) + done, steps)

    for name, option, conflicts in list(_conflicts(latencies.network, estimates, further)):
        worth = estimates[name][option]
        estimates[name][option] = replace(worth, conflicts=worth.conflicts | conflicts)
    return estimates


def _conflicts(
    network: Network, estimates: Estimates, progress: Progress
) -> Iterator[tuple[str, str, set[_Item]]]:
    """Every option that removes layers of another site, with all options of that site."""
    order = {name: place for place, name in enumerate(discover())}
    for done, block in enumerate(network.blocks):
        sites = sorted((s for s in block.sites if estimates.get(s.id)), key=lambda site: order[site.rule])
        pairs = [p for p in combinations(sites, 2) if not set(p[0].nodes).isdisjoint(p[1].nodes)]
        for first, second in pairs:
            one = next(iter(estimates[second.id]))
            for option in estimates[first.id]:
                if second.id not in network.outlines.of(block, {first.id: option, second.id: one})[1]:
                    yield first.id, option, {(second.id, other) for other in estimates[second.id]}
        progress(done + 1, len(network.blocks))


def _depth(latencies: Latencies, choices: Mapping[str, str]) -> int:
    """How many layers of a plan have weights or look at a window."""
    return sum(layer.kernel.op in _LAYERS for layer in latencies.layers(choices))


def guessed_loss(lost: float, fewer: int = 0) -> float:
    """A guessed loss: a constant, the square of the share of MACs that is cut, and a term per layer less.

    Accuracy needs capacity: halving a layer costs more than twice what cutting a quarter does. An option that
    keeps the number of layers loses less (BVLC GoogLeNet, all nine pooling branches, divergence from the
    teacher: merged into the 5x5, two layers fewer each, 2.08; projected first, none fewer, 0.40).
    """
    return _ANY_CHANGE + max(lost, 0.0) ** 2 + _A_LAYER * max(fewer, 0)
