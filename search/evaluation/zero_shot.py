"""Faster without data and without training: exact merges, then factored layers.

After Deep Learning Approximation (Pratt et al. 2018): what loses nothing comes first, then whatever
loses least of the layers' own weights, along one knob: how much time is saved.
"""

import math
from collections.abc import Iterator
from functools import cached_property

from merges.plan import Plan
from merges.rule import KEEP
from merges.rules.low_rank import lost_energy
from search.evaluation.evaluator import Evaluation, Evaluator
from search.scoring.latency import Score
from search.space.warm_start import ladder
from search.titles import KEPT
from training.metrics import Accuracy

_MOST = 1 - 1e-9
_TRIES = 8


class ZeroShot(Evaluator):
    """Judges plans with the weights that they inherit.

    Without images to judge on, a plan's worth is the share of the squared weights that is kept, in percent,
    on average over the layers that can be factored.
    """

    enumerates = True

    @property
    def sees_images(self) -> bool:  # type: ignore[override]
        return self.proxy.metric != KEPT

    def untouched(self) -> float:
        return super().untouched() if self.sees_images else 100.0

    def judge(self, plan: Plan, score: Score, peak_bytes: int) -> Evaluation:
        if self.sees_images:
            return super().judge(plan, score, peak_bytes)
        loss = sum(self.losses[site].get(option, 0.0) for site, option in plan.choices if site in self.losses)
        kept = 100 * (1 - loss / max(len(self.losses), 1))
        return Evaluation(score, None, kept, 0.0, peak_bytes)

    def _learned(self, plan: Plan) -> Accuracy:
        return self.accuracy_of(self.bench.network.merged(plan.choice))

    def describe(self) -> str:
        return "no training: exact merges, then layers factored with the weights that they have"

    @cached_property
    def losses(self) -> dict[str, dict[str, float]]:
        """The share of a layer's squared weights that factoring loses, by site and option."""
        network = self.bench.network
        sites = [site for site in network.sites if not site.exact]
        return {
            site.id: {o: lost_energy(network.teacher, site, o) for o in site.options if o != KEEP}
            for site in sites
        }

    def known_losses(self) -> dict[str, dict[str, float]]:
        """What is kept multiplies from layer to layer, so that its logarithm adds up."""
        return {
            site: {option: -math.log1p(-min(lost, _MOST)) for option, lost in found.items()}
            for site, found in self.losses.items()
        }

    def first_plans(self, count: int) -> Iterator[tuple[str, dict[str, str]]]:
        """The exact plan, then plans that save more or less time at the least loss, each another one."""
        plans: list[dict[str, str]] = [{}]
        for plan in ladder(self.estimates, count * _TRIES):
            if plan not in plans:
                plans.append(plan)
            if len(plans) >= count:
                break
        yield from (("", plan) for plan in plans)
