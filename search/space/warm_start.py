"""Plans to try first."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from merges.rule import KEEP, Site
from search.scoring.latency import Latencies
from search.space.additive import Estimates, least_loss, most_saved, spread
from search.space.presets import known, preset
from search.space.problem import changed
from training.progress import Progress, quiet

RUNGS = 8


def first_plans(latencies: Latencies, estimates: Estimates) -> Iterator[tuple[str, dict[str, str]]]:
    """Plans to try before the sampler's, each with the name of its preset (empty for none).

    The untouched network, what is offered of the paper's plan if there is one, and exact solutions of the
    additive problem: the fastest plan, the middle, then ever finer steps.
    """
    yield "", {}
    if ("paper", latencies.network.name) in known():
        paper = preset("paper", latencies.network, partly=True)
        if paper:
            yield "paper", paper
    yield from (("", plan) for plan in ladder(estimates, RUNGS))


def ladder(estimates: Estimates, rungs: int) -> Iterator[dict[str, str]]:
    """The plans with the least estimated loss at `rungs` latencies, the fastest first."""
    most = most_saved(estimates)
    for fraction in spread(rungs):
        yield least_loss(estimates, fraction * most)


def lossless(latencies: Latencies) -> dict[str, str]:
    """The exact options that save time on the target, chosen one site after the other."""
    return fastest(latencies, [site for site in latencies.network.sites if site.exact])


def fastest(latencies: Latencies, sites: Sequence[Site]) -> dict[str, str]:
    """A fast plan, chosen greedily: see `least`."""
    return least(lambda choices: latencies.score(choices).latency_ms, sites)


def least(
    measure: Callable[[Mapping[str, str]], float],
    sites: Sequence[Site],
    others: Mapping[str, str] | None = None,
    progress: Progress = quiet,
) -> dict[str, str]:
    """A plan that makes `measure` small, chosen greedily: at each site the best option, given those before.

    Sites still to come have the choices of `others`.
    """
    chosen = dict(others or {})
    for done, site in enumerate(sites):
        options = dict.fromkeys((chosen.get(site.id, KEEP), *site.names))  # as it is, where others equal it
        found = {option: measure(chosen | {site.id: option}) for option in options}
        chosen[site.id] = min(found, key=found.__getitem__)
        progress(done + 1, len(sites))
    return changed(chosen)
