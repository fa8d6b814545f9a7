"""Which of a network's merges have a latency on a target."""

from collections.abc import Sequence

from latency_models.predict import UnknownKernelError
from merges.network import Network
from search.scoring.device import Device
from search.scoring.latency import Latencies


def priced(network: Network, devices: Sequence[Device]) -> list[Latencies]:
    """Latencies on every device, for the network with only those options that all devices have a latency for.

    A target that can be measured has one for everything it can run.

    Raises
    ------
    UnknownKernelError
        A target has no latency for an operation of the network itself.
    """
    found = [Latencies(network, device) for device in devices]
    unknown: dict[str, dict[str, str]] = {}
    for latencies in found:
        if not latencies.device.spec.measurable:
            latencies.score({})
            for site, option, reason in _unknown(latencies):
                unknown.setdefault(site, {})[option] = reason
    if not unknown:
        return found
    fewer = network.without(unknown)
    return [Latencies(fewer, device) for device in devices]


def _unknown(latencies: Latencies) -> list[tuple[str, str, str]]:
    """Sites and options without a latency, and why."""
    found: list[tuple[str, str, str]] = []
    for site in latencies.network.sites:
        for option in site.names[1:]:
            try:
                latencies.score({site.id: option})
            except UnknownKernelError as error:
                found.append((site.id, option, str(error)))
    return found
