"""Plans worth trying first: the untouched network, the paper's plan, and a ladder of quick wins."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from merges.network import Network
from merges.rule import KEEP
from search.latency import Latencies, Progress
from training.errors import BadInputError

PRESETS = Path(__file__).parent / "presets"
_RUNGS = 4
_ANY_CHANGE = 0.02


def preset(name: str, network: Network) -> dict[str, str]:
    """A hand-made plan by name.

    Raises
    ------
    BadInputError
        There is no such preset, or it is not made for this network.
    """
    known = sorted(path.stem for path in PRESETS.glob("*.toml"))
    if name not in known:
        raise BadInputError(f"unknown preset {name!r}; expected {', '.join(known)}")
    plans = tomllib.loads((PRESETS / f"{name}.toml").read_text())
    if network.name not in plans:
        raise BadInputError(
            f"preset {name!r} is made for {', '.join(plans)}, not for {network.name!r}; use 'search'"
        )
    patterns = plans[network.name]
    chosen = {
        site.id: next((o for p, o in patterns.items() if fnmatchcase(site.id, p)), KEEP)
        for site in network.sites
    }
    return {site: option for site, option in chosen.items() if option != KEEP}


def first_plans(latencies: Latencies, progress: Progress = lambda _, __: None) -> Iterator[dict[str, str]]:
    """Choices to try before the sampler: from the untouched network to the fastest plan.

    Two ladders add one site after the other, in a few steps: the gentle one takes the options that
    save most time for the multiply-accumulates they give up (capacity is what accuracy needs), the
    steep one each site's fastest option.
    """
    network = latencies.network
    yield {}
    if network.name in tomllib.loads((PRESETS / "paper.toml").read_text()):
        yield preset("paper", network)
    gains = list(_gains(latencies, progress))
    for worth in (Gain.gentleness, Gain.saved):
        best: dict[str, Gain] = {}
        for gain in sorted(gains, key=worth):
            best[gain.site] = gain
        steps = sorted(best.values(), key=worth, reverse=True)
        for rung in range(1, _RUNGS + 1):
            yield {gain.site: gain.option for gain in steps[: -(-len(steps) * rung // _RUNGS)]}


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
