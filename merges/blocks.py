"""Blocks: closed parts of a network that hold the sites which change the same layers.

A block has one entry and one exit. Blocks do not overlap, so what a plan does to one never depends on
another: latency adds up, and a rebirth layer learned for one block serves every plan that makes the same
choices there.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import fx

from merges.graph import Flow, fresh_name, with_activation
from merges.rule import KEEP, Refusal, Site, Stage

_MOST, _FEW = 512, 3  # combinations of options; sites, where there are more


@dataclass(frozen=True)
class Block:
    """A closed part of the network and the sites inside it."""

    name: str
    entry: str
    exit: str
    sites: tuple[Site, ...]

    def choices(self, plan: Mapping[str, str]) -> dict[str, str]:
        """What a plan changes in this block: site id to option, without the sites it keeps."""
        picked = {site.id: plan.get(site.id, KEEP) for site in self.sites}
        return {site: option for site, option in picked.items() if option != KEEP}

    def learned(self, choices: Mapping[str, str]) -> dict[str, str]:
        """Those of some choices that decide what the block computes: without exact ones of the last stage."""
        late = {site.id for site in self.sites if site.exact and site.stage is Stage.LAST}
        return {site: option for site, option in choices.items() if site not in late}

    def keeps_outputs(self, choices: Mapping[str, str]) -> bool:
        """Whether some choices leave the block's function as it is."""
        return all(site.exact for site in self.sites if site.id in choices)

    def all_choices(self) -> Iterator[dict[str, str]]:
        """Every combination of options in this block, of up to three sites where there are very many.

        Options of the first and the last stage are given one at a time: they change no other layer.
        """
        alone = [site for site in self.sites if site.stage in (Stage.SKIP, Stage.LAST)]
        rest = [site for site in self.sites if site not in alone]
        together = len(rest) if math.prod(len(site.names) for site in rest) <= _MOST else _FEW
        for count in range(together + 1):
            for sites in itertools.combinations(rest, count):
                for options in itertools.product(*(site.names[1:] for site in sites)):
                    yield {site.id: option for site, option in zip(sites, options, strict=True)}
        yield from ({site.id: option} for site in alone for option in site.names[1:])


def group_sites(
    teacher: fx.GraphModule, sites: tuple[Site, ...]
) -> tuple[tuple[Block, ...], tuple[Refusal, ...]]:
    """Group sites whose layers overlap into closed blocks; sites that fit in none are refused."""
    nodes = {node.name: node for node in teacher.graph.nodes}
    order = {name: i for i, name in enumerate(nodes)}
    flow = Flow(teacher.graph)

    def place(site: Site) -> tuple[int, int]:
        return order[site.exit], order[site.nodes[0]]

    spans: dict[Block, set[str]] = {}
    refused: list[Refusal] = []
    for site in sites:
        if not all(nodes[end].meta.get("per_image", True) for end in (site.entry, site.exit)):
            refused.append(Refusal(site.rule, site.labels, "its maps do not lie one image after the other"))
            continue
        if nodes[site.exit].op == "output":
            refused.append(Refusal(site.rule, site.labels, "its layers lead to several answers"))
            continue
        span = flow.between(site.entry, site.exit)
        overlapping = [block for block, inside in spans.items() if span & inside]
        entry = min([site.entry, *(b.entry for b in overlapping)], key=order.__getitem__)
        exit_ = max([site.exit, *(b.exit for b in overlapping)], key=order.__getitem__)
        exit_ = with_activation(teacher, nodes[exit_]).name
        members = (*(s for b in overlapping for s in b.sites), site)
        inside = flow.between(entry, exit_)
        if flow.is_closed(inside, entry, exit_):
            spans = {block: names for block, names in spans.items() if block not in overlapping}
            name = fresh_name(teacher, f"block_{exit_}")
            spans[Block(name, entry, exit_, tuple(sorted(members, key=place)))] = inside
        else:
            others = ", ".join(s.id for s in members[:-1]) or "the layers around it"
            refused.append(Refusal(site.rule, site.labels, f"it cannot be rebuilt apart from {others}"))
    return tuple(sorted(spans, key=lambda b: order[b.exit])), tuple(refused)
