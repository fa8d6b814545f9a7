"""Merge the small branches of an inception module into their larger neighbours (learned).

Before      x -> { Conv 1x1 | Conv 1x1 -> Conv 3x3 | Conv 1x1 -> Conv 5x5 | Pool -> Conv 1x1 } -> concat
After       x -> { Conv 1x1 -> Conv 3x3' | Conv 1x1 -> Conv 5x5' } -> concat, same maps, same order
Conditions  branches of single-user layers from one fork, called once; the absorbing branch stands next
            to the absorbed one, ends in an ungrouped convolution of at least 3x3, and ends in the same
            activation; the absorbed one is a 1x1 convolution, alone or behind a pooling of stride 1
Formula     branch merging, DeepRebirth section 3.2. Each remaining branch makes a run of neighbouring
            maps; where the run ends is an option ("which branch makes how many"), up to one branch
            that makes all. Maps whose old
            convolution reads the same input are carried over exactly (a 1x1 is the centre of a 3x3)
"""

import itertools
from dataclasses import dataclass

import torch
from torch import fx, nn

from merges.algebra import embed_kernel
from merges.graph import (
    chain_back,
    concatenated,
    find,
    is_closed,
    label,
    layer,
    shared_layers,
    tidy,
)
from merges.rule import KEEP, Refusal, Site


@dataclass(frozen=True)
class Arm:
    """One branch: its layers from the fork on, and a short name such as ``3x3`` or ``pool``."""

    nodes: tuple[fx.Node, ...]
    name: str
    maps: int
    absorbs: bool
    is_small: bool


class Branch:
    name = "branch"
    exact = False
    always = False

    def find(self, graph_module: fx.GraphModule) -> list[Site | Refusal]:
        shared = shared_layers(graph_module)
        found = [
            self._site(graph_module, node, shared)
            for node in graph_module.graph.nodes
            if len(concatenated(node) or []) > 1
        ]
        return [site for site in found if site is not None]

    def _site(self, graph_module: fx.GraphModule, cat: fx.Node, shared: set[str]) -> Site | Refusal | None:
        chains = [chain_back(part) for part in concatenated(cat) or []]
        fork = chains[0][1]
        members = [node for nodes, _ in chains for node in nodes]
        labels = (*(label(node) for node in members), label(cat))
        reason = None
        if any(start is not fork for _, start in chains):
            reason = "the branches do not start at one fork through single-user layers"
        elif any(not nodes for nodes, _ in chains):
            reason = "one branch is the fork itself"
        elif shared & {node.name for node in members}:
            reason = "a layer of a branch is called more than once (shared)"
        elif not is_closed([*members, cat], fork.name, cat.name):
            reason = "another layer reads the inside of a branch"
        if reason:
            return Refusal(self.name, labels, reason)
        options = list(_groupings(_arms(graph_module, cat)))
        if not options:
            return Refusal(self.name, labels, "no small branch stands next to a larger convolution")
        convs = [label(n) for n in members if isinstance(layer(graph_module, n), nn.Conv2d)]
        place = _common_start([name.replace("/", ".").split(".") for name in convs])
        return Site(
            id=f"{self.name}:{'.'.join(place) or cat.name}",
            rule=self.name,
            nodes=(*(node.name for node in members), cat.name),
            labels=labels,
            entry=fork.name,
            exit=cat.name,
            options=(KEEP, *options),
        )

    def apply(self, block: fx.GraphModule, site: Site, option: str) -> bool:
        cat = find(block, site.nodes[-1])
        if cat is None:
            return False
        arms = _arms(block, cat)
        grouping = _groupings(arms).get(option)
        if grouping is None:
            return False
        segments = _segments(arms)
        rebuilt = {i: _widened(block, arms, segments, i, maps) for i, maps in grouping.items()}
        for index, conv in rebuilt.items():
            block.set_submodule(str(_last_conv(block, arms[index]).target), conv)
        parts = [arms[index].nodes[-1] for index in grouping]
        if len(parts) == 1:
            cat.replace_all_uses_with(parts[0])
        else:
            cat.args, cat.kwargs = ((parts, 1), {})
        tidy(block)
        return True


def _arms(graph_module: fx.GraphModule, cat: fx.Node) -> list[Arm]:
    """Describe the branches of a concatenation, in the order of their maps."""
    arms: list[Arm] = []
    for part in concatenated(cat) or []:
        nodes, _ = chain_back(part)
        layers = [layer(graph_module, node) for node in nodes]
        convs = [m for m in layers if isinstance(m, nn.Conv2d)]
        pooled = isinstance(layers[0], (nn.MaxPool2d, nn.AvgPool2d))
        last = convs[-1] if convs else None
        name = "pool" if pooled else "x".join(map(str, last.kernel_size)) if last else "other"
        taken = [arm.name for arm in arms]
        name = next(n for n in (name, *(f"{name}{c}" for c in "bcdefgh")) if n not in taken)
        absorbs = last is not None and last.groups == 1 and min(last.kernel_size) >= 3
        small = last is not None and len(convs) == 1 and last.kernel_size == (1, 1) and last.groups == 1
        small = small and all(isinstance(m, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.ReLU)) for m in layers)
        arms.append(Arm(tuple(nodes), name, part.meta["shape"][1], absorbs and not pooled, small))
    return arms


def _groupings(arms: list[Arm]) -> dict[str, dict[int, tuple[int, int]]]:
    """Options by name: for each branch that stays, the run of maps (from, to) that it makes."""
    absorbed = {
        i: next((j for j in (i + 1, i - 1) if 0 <= j < len(arms) and arms[j].absorbs), None)
        for i, arm in enumerate(arms)
        if arm.is_small
    }
    merges = {i: j for i, j in absorbed.items() if j is not None}
    names = {i: f"{arms[i].name} into {arms[j].name}" for i, j in merges.items()}
    chosen = {name: {i: merges[i]} for i, name in names.items()}
    if len(merges) > 1:
        chosen[", ".join(names.values())] = merges
    options = {name: _runs(arms, picked) for name, picked in chosen.items()}
    if len(merges) > 1:
        options.update(_shares(arms, next(reversed(options.items()))))
    if len(arms) > 2 and merges and all(arm.absorbs or arm.is_small for arm in arms):
        keeper = max((i for i, arm in enumerate(arms) if arm.absorbs), key=lambda i: arms[i].maps)
        options[f"all into {arms[keeper].name}"] = _runs(arms, dict.fromkeys(range(len(arms)), keeper))
    return options


def _runs(arms: list[Arm], merges: dict[int, int]) -> dict[int, tuple[int, int]]:
    """The run of maps of every branch that stays, when each key is absorbed by its value."""
    runs: dict[int, tuple[int, int]] = {}
    for index, (first, last) in enumerate(_segments(arms)):
        keeper = merges.get(index, index)
        start, end = runs.get(keeper, (first, last))
        runs[keeper] = (min(start, first), max(end, last))
    return dict(sorted(runs.items(), key=lambda item: item[1]))


def _shares(
    arms: list[Arm], full: tuple[str, dict[int, tuple[int, int]]]
) -> dict[str, dict[int, tuple[int, int]]]:
    """Variants of the full merge that move maps between the two branches that are left."""
    name, runs = full
    if len(runs) != 2:
        return {}
    (left, (start, border)), (right, (_, end)) = runs.items()
    own_left, own_right = _segments(arms)[left], _segments(arms)[right]
    to_left, to_right = own_right[1], own_left[0] + 3 * (own_left[1] - own_left[0]) // 4
    variants = {
        f"{name}, {arms[left].name} makes {to_left - start}": to_left,
        f"{name}, {arms[left].name} makes {to_right - start}": to_right,
    }
    return {
        title: {left: (start, moved), right: (moved, end)}
        for title, moved in variants.items()
        if start < moved < end and moved != border
    }


def _common_start(paths: list[list[str]]) -> list[str]:
    """The words that all paths begin with: the name of the module that holds the branches."""
    columns = itertools.takewhile(lambda words: len(set(words)) == 1, zip(*paths, strict=False))
    return [words[0] for words in columns]


def _segments(arms: list[Arm]) -> list[tuple[int, int]]:
    ends = torch.tensor([arm.maps for arm in arms]).cumsum(0).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _last_conv(graph_module: fx.GraphModule, arm: Arm) -> fx.Node:
    return next(n for n in reversed(arm.nodes) if isinstance(layer(graph_module, n), nn.Conv2d))


def _widened(
    block: fx.GraphModule,
    arms: list[Arm],
    segments: list[tuple[int, int]],
    keeper: int,
    run: tuple[int, int],
) -> nn.Conv2d:
    """The keeper's last convolution, making a run of maps; carried over where its input allows."""
    node = _last_conv(block, arms[keeper])
    old = layer(block, node)
    assert isinstance(old, nn.Conv2d)
    kh, kw = old.kernel_size
    conv = nn.Conv2d(old.in_channels, run[1] - run[0], (kh, kw), old.stride, old.padding)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    spread = old.weight.detach().std()
    weight = torch.randn(conv.weight.shape, generator=generator) * spread
    bias = torch.zeros(conv.out_channels)
    for arm, (first, last) in zip(arms, segments, strict=True):
        source = _last_conv(block, arm)
        donor = layer(block, source)
        assert isinstance(donor, nn.Conv2d)
        start, end = max(first, run[0]), min(last, run[1])
        if start >= end or (source is not node and source.args[0] is not node.args[0]):
            continue
        if donor.kernel_size[0] > kh or donor.kernel_size[1] > kw:
            continue
        rows = slice(start - first, end - first)
        top, left = (kh - donor.kernel_size[0]) // 2, (kw - donor.kernel_size[1]) // 2
        weight[start - run[0] : end - run[0]] = embed_kernel(donor.weight.detach()[rows], kh, kw, top, left)
        if donor.bias is not None:
            bias[start - run[0] : end - run[0]] = donor.bias.detach()[rows]
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(bias)
    return conv


RULE = Branch()
