"""Plans worth trying first: the untouched network, the paper's plan, and a ladder of quick wins."""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from merges.network import Network
from merges.rule import KEEP, Site
from search.latency import Latencies
from training.errors import BadInputError

PRESETS = Path(__file__).parent / "presets"
_RUNGS = 6


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


def first_plans(network: Network, latencies: Latencies) -> Iterator[dict[str, str]]:
    """Choices to try before the sampler: from the untouched network to the fastest plan.

    The ladder adds each site's fastest option, largest saving first, in a few steps.
    """
    yield {}
    if network.name in tomllib.loads((PRESETS / "paper.toml").read_text()):
        yield preset("paper", network)
    best = {site.id: _fastest(site, latencies) for site in network.sites}
    savings = sorted((pair for pair in best.items() if pair[1][1] > 0), key=lambda pair: -pair[1][1])
    for rung in range(1, _RUNGS + 1):
        yield {site: option for site, (option, _) in savings[: -(-len(savings) * rung // _RUNGS)]}


def _fastest(site: Site, latencies: Latencies) -> tuple[str, float]:
    """The option that saves most when it alone is chosen, and what it saves in milliseconds."""
    untouched = latencies.score({}).latency_ms
    saved = {option: untouched - latencies.score({site.id: option}).latency_ms for option in site.options}
    option = max(saved, key=saved.__getitem__)
    return option, saved[option]
