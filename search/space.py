"""Sites and options <-> Optuna parameters: one categorical parameter a site, always all of them."""

from collections.abc import Mapping

from optuna.distributions import CategoricalDistribution

from merges.network import Network
from merges.plan import Plan


def distributions(network: Network) -> dict[str, CategoricalDistribution]:
    """The fixed search space of a network."""
    return {site.id: CategoricalDistribution(site.options) for site in network.sites}


def to_params(network: Network, choices: Mapping[str, str]) -> dict[str, str]:
    """A value for every parameter; sites that are not named are kept."""
    return {site.id: choices.get(site.id, site.options[0]) for site in network.sites}


def to_plan(network: Network, params: Mapping[str, str]) -> Plan:
    """The canonical plan; conflicts are repaired by the rules' fixed order."""
    return Plan.make(network, params)
