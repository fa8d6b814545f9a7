"""Faster without data and without training: exact merges, then factored layers.

After Deep Learning Approximation (Pratt et al. 2018): what loses nothing comes first, then whatever
loses least of the layers' own weights, along one knob: how much time is saved.
"""

from collections.abc import Iterator
from functools import cached_property

from merges.plan import Plan
from merges.rule import KEEP
from merges.rules.low_rank import lost_energy
from search.evaluate import Evaluation, Evaluator
from search.knapsack import Worth, least_harm, spread
from search.latency import Progress, Score
from training.finetune import Accuracy, evaluate

KEPT = "kept"
_TRIES = 8
_LEAST_SAVED = 1e-3


class ZeroShot(Evaluator):
    """Judges plans with the weights that they inherit.

    Without images to judge on, a plan's worth is the share of the squared weights that is kept, in percent,
    on average over the layers that can be factored.
    """

    enumerates = True

    @property
    def sees_images(self) -> bool:
        return self.proxy.metric != KEPT

    def untouched(self) -> dict[str, float]:
        return super().untouched() if self.sees_images else {"accuracy": 100.0}

    def judge(self, plan: Plan, score: Score) -> Evaluation:
        if self.sees_images:
            return super().judge(plan, score)
        harm = sum(self.harms[site].get(option, 0.0) for site, option in plan.choices if site in self.harms)
        kept = 100 * (1 - harm / max(len(self.harms), 1))
        return Evaluation(score, None, kept, 0.0, self.latencies.peak_bytes(plan.choice))

    def _learned(self, plan: Plan) -> Accuracy:
        merged, proxy = self.bench.network.merged(plan.choice), self.bench.data.proxy
        return evaluate(merged, self.bench.inputs(proxy), proxy.labels)[0]

    def describe(self) -> str:
        return "no training: exact merges, then layers factored with the weights that they have"

    @cached_property
    def harms(self) -> dict[str, dict[str, float]]:
        """The share of a layer's squared weights that factoring loses, by site and option."""
        network = self.bench.network
        return {
            site.id: {
                option: lost_energy(network.teacher, site, option)
                for option in site.options
                if option != KEEP
            }
            for site in network.sites
            if not site.exact
        }

    def first_plans(self, count: int, progress: Progress) -> Iterator[dict[str, str]]:
        """The exact plan, then plans that save more or less time at the least loss, each another one."""
        scores = self.latencies.score_options(progress)
        untouched = self.latencies.score({}).latency_ms
        worths: dict[str, dict[str, Worth]] = {}
        for site, harms in self.harms.items():
            saved = {option: untouched - scores[site][option].latency_ms for option in harms}
            worths[site] = {
                o: Worth(saved[o], harms[o]) for o in harms if saved[o] > _LEAST_SAVED * untouched
            }
        most = sum(max([0.0, *(worth.saved_ms for worth in found.values())]) for found in worths.values())
        plans: list[dict[str, str]] = [{}]
        for fraction in spread(count * _TRIES):
            plan = least_harm(worths, fraction * most)
            if plan not in plans:
                plans.append(plan)
            if len(plans) >= count:
                break
        yield from plans
