"""Plans worth trying first: the untouched network, the paper's plan, and a ladder of quick wins."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from merges.rule import KEEP, Site
from search.latency import Latencies, Progress
from search.presets import known, preset

_RUNGS = 4
_ANY_CHANGE = 0.02


def first_plans(latencies: Latencies, progress: Progress = lambda _, __: None) -> Iterator[dict[str, str]]:
    """Choices to try before the sampler: from the untouched network to the fastest plan.

    Two ladders add one site after the other, in a few steps: the gentle one takes the options that save most
    time for the multiply-accumulates they give up (capacity is what accuracy needs), the steep one each
    site's fastest option.
    """
    network = latencies.network
    yield {}
    if ("paper", network.name) in known():
        yield preset("paper", network)
    exact = {site.id for site in network.sites if site.exact}
    gains = [gain for gain in _gains(latencies, progress) if gain.site not in exact]
    for worth in (Gain.gentleness, Gain.saved):
        best: dict[str, Gain] = {}
        for gain in sorted(gains, key=worth):
            best[gain.site] = gain
        steps = sorted(best.values(), key=worth, reverse=True)
        for rung in range(1, _RUNGS + 1):
            yield {gain.site: gain.option for gain in steps[: -(-len(steps) * rung // _RUNGS)]}


def lossless(latencies: Latencies) -> dict[str, str]:
    """The exact options that pay on the target, one site after the other: faster, and the same answers."""
    return fastest(latencies, [site for site in latencies.network.sites if site.exact])


def fastest(latencies: Latencies, sites: Iterable[Site]) -> dict[str, str]:
    """For one site after the other the option with which the network is fastest, given those before it."""
    chosen: dict[str, str] = {}
    for site in sites:
        options = {option: latencies.score(chosen | {site.id: option}).latency_ms for option in site.options}
        best = min(options, key=options.__getitem__)
        if best != KEEP:
            chosen[site.id] = best
    return chosen


@dataclass(frozen=True)
class Gain:
    """What one option alone saves (milliseconds), and the share of its layers' MACs it gives up."""

    site: str
    option: str
    saved_ms: float
    lost: float

    def saved(self) -> float:
        return self.saved_ms

    def gentleness(self) -> float:
        """Milliseconds for harm: a constant for any change, and the lost share squared.

        Halving layers costs more than twice what cutting a quarter does.
        """
        return self.saved_ms / (_ANY_CHANGE + max(self.lost, 0.0) ** 2)


def _gains(latencies: Latencies, progress: Progress) -> Iterator[Gain]:
    """The options that make the network faster when they alone are chosen."""
    untouched = latencies.score({})
    macs = {site.id: latencies.macs_of(site) for site in latencies.network.sites}
    for site, scores in latencies.score_options(progress).items():
        for option, score in scores.items():
            if score.latency_ms < untouched.latency_ms:
                lost = (untouched.macs - score.macs) / max(macs[site], 1)
                yield Gain(site, option, untouched.latency_ms - score.latency_ms, lost)
