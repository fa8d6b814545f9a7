"""Whether what blocks change in a network's kernels adds up, so that plans can be scored block by block."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from latency_models.kernel import Kernel, Layer
from merges.blocks import Block

_PLANS = 6
_SEED = 0

Layers = Callable[[Mapping[str, str]], list[Layer]]


def adds_up(blocks: Sequence[Block], layers: Layers) -> bool:
    """Whether it does in all of some plans: the last option everywhere, and random ones.

    A runtime that keeps maps in one layout from operation to operation can run a whole stage differently
    where one block is merged: in MobileOne the gain was counted once for each of its blocks.
    """
    untouched = Counter(layer.kernel for layer in layers({}))

    @cache
    def changes(choices: frozenset[tuple[str, str]]) -> Counter[Kernel]:
        """How many of each kernel some choices bring, and (below zero) take away."""
        found = Counter(layer.kernel for layer in layers(dict(choices)))
        found.subtract(untouched)
        return Counter({kernel: count for kernel, count in found.items() if count})

    for plan in _plans(blocks):
        left = Counter(changes(frozenset(plan.items())))
        for block in blocks:
            left.subtract(changes(frozenset(block.choices(plan).items())))
        if any(left.values()):
            return False
    return True


def _plans(blocks: Sequence[Block]) -> Iterator[dict[str, str]]:
    sites = [site for block in blocks for site in block.sites]
    yield {site.id: site.names[-1] for site in sites}
    dice = random.Random(_SEED)
    for _ in range(_PLANS):
        yield {site.id: dice.choice(site.names) for site in sites}
