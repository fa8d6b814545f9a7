"""Zero-shot: faster without data or training, by exact merges and low-rank factors.

After Deep Learning Approximation (Pratt et al. 2018): first what loses nothing, then what loses least of the
layers' weights, controlled by one knob: how much time is saved.
"""

import math
from collections.abc import Iterator, Mapping

from torch import fx

from merges.network import Network
from merges.plan import Plan
from merges.rule import discover
from search.evaluation.evaluator import Evaluation
from search.evaluation.on_images import OnImages
from search.space.additive import Estimates
from search.space.warm_start import ladder
from training.judging import Judged

_MOST = 1 - 1e-9
_TRIES = 8
_HOW = "no training: exact merges, then low-rank factors of the existing weights"

Losses = Mapping[str, Mapping[str, float]]  # by site and option


class Inherited(OnImages):
    """Judges plans on images, with inherited weights."""

    def network_of(self, plan: Plan) -> fx.GraphModule:
        return self.bench.network.merged(plan)

    def describe(self) -> str:
        return _HOW


class KeptWeights:
    """Judges plans without images, by the share of the squared weights that they keep.

    In percent, averaged over the layers that can be factored.
    """

    baseline = Evaluation(Judged(100.0))

    def __init__(self, losses: Losses) -> None:
        self.losses = losses

    def evaluate(self, plan: Plan) -> Evaluation:
        loss = sum(self.losses[site].get(option, 0.0) for site, option in plan.items() if site in self.losses)
        return Evaluation(Judged(100 * (1 - loss / max(len(self.losses), 1))))

    def describe(self) -> str:
        return _HOW


def losses_of(network: Network) -> dict[str, dict[str, float]]:
    """The share of a layer's squared weights that an option loses, by site and option."""
    rules = discover()
    return {
        site.id: {o.name: rules[site.rule].lost_energy(network.teacher, site, o) for o in site.options[1:]}
        for site in network.sites
        if not site.exact
    }


def that_add_up(losses: Losses) -> dict[str, dict[str, float]]:
    """Losses in an additive unit: shares kept multiply from layer to layer, so their logarithms add up."""
    return {
        site: {option: -math.log1p(-min(lost, _MOST)) for option, lost in found.items()}
        for site, found in losses.items()
    }


def plans(estimates: Estimates, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The exact plan, then distinct plans that save more or less time at the least loss; at most `count`.

    Each with an empty name: none is a preset.
    """
    found: list[dict[str, str]] = [{}]
    for plan in ladder(estimates, count * _TRIES):
        if plan not in found:
            found.append(plan)
        if len(found) >= count:
            break
    yield from (("", plan) for plan in found)
