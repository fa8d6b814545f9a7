"""What can be merged in a network, and how each option alone changes its latency."""

from dataclasses import dataclass
from typing import Any

from merges.network import Network
from merges.rule import Refusal, Site
from search.scoring.latency import Latencies
from training.progress import Progress, quiet


@dataclass(frozen=True)
class Listing:
    """Every site with its options' latencies (each chosen alone), and every refusal."""

    network: Network
    target: str
    basis: str
    baseline_latency_ms: float
    options: dict[str, dict[str, float]]

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form. Folded norms are in the baseline: their one option changes nothing."""
        folded = {site.id: {site.names[-1]: self.baseline_latency_ms} for site in self.network.folded}
        return {
            "network": self.network.name,
            "target": self.target,
            "input_shape": self.network.input_shape,
            "fingerprint": self.network.fingerprint,
            "baseline_latency_ms": self.baseline_latency_ms,
            "basis": self.basis,
            "sites": [self._site(s, self.options[s.id]) for s in self.network.sites]
            + [self._site(s, folded[s.id]) for s in self.network.folded],
            "remarks": list(self.network.remarks),
            "refused": [_refusal(r) for r in self.network.refused],
        }

    def _site(self, site: Site, latencies: dict[str, float]) -> dict[str, Any]:
        return {
            "id": site.id,
            "rule": site.rule,
            "nodes": list(site.labels),
            "options": [
                {"name": name, "latency_ms": ms, "speedup": self.baseline_latency_ms / ms}
                for name, ms in latencies.items()
            ],
        }


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {"rule": refusal.rule, "nodes": list(refusal.nodes), "reason": refusal.reason}


def list_sites(latencies: Latencies, progress: Progress = quiet) -> Listing:
    """Score every option of every site on its own."""
    network, device = latencies.network, latencies.device
    untouched = latencies.baseline
    scores = latencies.score_options(progress)
    options = {site: {name: s.latency_ms for name, s in found.items()} for site, found in scores.items()}
    basis = device.describe(untouched.total)
    return Listing(network, device.spec.name, basis, untouched.latency_ms, options)
