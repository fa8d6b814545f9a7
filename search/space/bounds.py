"""What the plans of a space can reach, found before a search begins."""

from search.scoring.latency import Latencies
from search.scoring.objectives import MORE, Goal, goals
from search.space.additive import Estimates
from search.space.limits import Limits
from search.space.problem import searched
from search.space.warm_start import ladder, least
from search.titles import readable
from training.errors import BadInputError
from training.progress import Progress


def reachable(
    latencies: Latencies, estimates: Estimates, exact: dict[str, str], limits: Limits, progress: Progress
) -> str:
    """The least that plans can reach, as a sentence; searched site by site, not proven.

    Raises
    ------
    BadInputError
        A limit is below what any plan was found to reach.
    """
    sites = searched(latencies.network)
    memory_mib, parameters_m = goals(MORE, latencies, ()).values()
    measures: dict[str, Goal] = {
        "latency": lambda choices: latencies.score(choices).latency_ms,
        "parameters_m": parameters_m,
        "memory_mib": memory_mib,
    }
    plans: list[dict[str, str]] = [{}, exact | next(ladder(estimates, 1))]
    for number, (field, measure) in enumerate(measures.items()):
        start = exact | min(plans, key=measure)
        plans.append(least(measure, sites, start, _part(progress, number, len(measures))))
        limit = Limits(**{field: getattr(limits, field)})
        reason = limit.broken(latencies.score(plans[-1]), latencies.peak_bytes(plans[-1]))
        if reason:
            raise BadInputError(f"no plan was found within the limits: at best, {reason}; widen the limit")
    latency, parameters, maps = (
        f"{readable(min(map(measure, plans)))} {unit} (untouched {readable(measure(None))})"
        for measure, unit in zip(measures.values(), ("ms", "M", "MiB"), strict=True)
    )
    return f"reachable at best: latency {latency}, parameters {parameters}, maps {maps}"


def _part(progress: Progress, number: int, parts: int) -> Progress:
    """Progress of one of several parts of equal length."""
    return lambda done, total: progress(number * total + done, parts * total)
