"""Sites and options <-> Optuna parameters: one categorical parameter a learned site, always all of them.

Exact options are not searched: they change no answer, so whether they pay is known from the latency alone.
"""

from collections.abc import Callable, Mapping

from optuna.distributions import CategoricalDistribution

from merges.network import Network
from merges.plan import Plan
from merges.rule import KEEP


def distributions(network: Network) -> dict[str, CategoricalDistribution]:
    """The fixed search space of a network."""
    return {site.id: CategoricalDistribution(site.options) for site in network.sites if not site.exact}


def to_params(network: Network, choices: Mapping[str, str]) -> dict[str, str]:
    """A value for every parameter; sites that are not named are kept."""
    return {site.id: choices.get(site.id, KEEP) for site in network.sites if not site.exact}


def to_plan(network: Network, params: Mapping[str, str], exact: Mapping[str, str]) -> Plan:
    """The canonical plan of a trial and of the exact choices that pay; conflicts are repaired in order."""
    return Plan.make(network, {**exact, **params})


def repairs(network: Network, exact: Mapping[str, str]) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """What finds, beside the exact choices that pay, which of the searched ones are made when asked for."""

    def repaired(choices: Mapping[str, str]) -> dict[str, str]:
        made = to_plan(network, choices, exact).choices
        return {site: option for site, option in made if site not in exact}

    return repaired
