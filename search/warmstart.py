"""Plans worth trying first, and what is known of every option before any of them is trained."""

from collections.abc import Iterable, Iterator, Mapping

from merges.rule import KEEP, Site
from search.knapsack import Worth, Worths, least_harm, most_saved, spread
from search.latency import Latencies, Progress
from search.presets import known, preset

RUNGS = 8
_ANY_CHANGE = 0.02
_LEAST_SAVED = 1e-4


def first_plans(latencies: Latencies, worths: Worths) -> Iterator[tuple[str, dict[str, str]]]:
    """Choices to try before the sampler: the untouched network, the paper's plan where there is one, and
    exact solutions of the additive problem, from the fastest plan over the middle to ever finer steps.

    Each with the name of its preset, where it has one.
    """
    yield "", {}
    if ("paper", latencies.network.name) in known():
        yield "paper", preset("paper", latencies.network)
    yield from (("", plan) for plan in ladder(worths, RUNGS))


def ladder(worths: Worths, rungs: int) -> Iterator[dict[str, str]]:
    """The plans that harm least at spread-out latencies, the fastest first."""
    most = most_saved(worths)
    for fraction in spread(rungs):
        yield least_harm(worths, fraction * most)


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


def weigh(
    latencies: Latencies, harms: Mapping[str, Mapping[str, float]] | None, progress: Progress
) -> Worths:
    """What every option that is searched saves when it alone is chosen, and harms (a guess where no `harms`
    are known); those that save nothing are left out.
    """
    untouched = latencies.score({})
    sites = [site for site in latencies.network.sites if not site.exact]
    worths: dict[str, dict[str, Worth]] = {}
    for done, site in enumerate(sites):
        macs = max(latencies.macs_of(site), 1)
        worths[site.id] = {}
        for option in site.options:
            score = latencies.score({site.id: option})
            saved_ms = untouched.latency_ms - score.latency_ms
            lost = (untouched.macs - score.macs) / macs
            harm = harms[site.id].get(option, 0.0) if harms else guessed_harm(lost)
            if saved_ms > _LEAST_SAVED * untouched.latency_ms:
                worths[site.id][option] = Worth(saved_ms, harm)
        progress(done + 1, len(sites))
    return worths


def guessed_harm(lost: float) -> float:
    """Harm in proportion to a constant, as for any change, and the lost share of the layers' MACs, squared.

    Capacity is what accuracy needs; halving layers costs more than twice what cutting a quarter does.
    """
    return _ANY_CHANGE + max(lost, 0.0) ** 2
