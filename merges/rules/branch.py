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
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn

from merges.algebra import embed_kernel
from merges.arms import Arm, Grouping, arms_of, groupings, segments
from merges.graph import (
    chain_back,
    concatenated,
    find,
    label,
    layer,
)
from merges.rule import MergeRule, Option, Place, Site


class Branch(MergeRule):
    name = "branch"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for cat in graph_module.graph.nodes:
            if len(concatenated(cat) or []) > 1:
                yield self._place(graph_module, cat)

    def _place(self, graph_module: fx.GraphModule, cat: fx.Node) -> Place:
        chains = [chain_back(part) for part in concatenated(cat) or []]
        fork = chains[0][1]
        members = [node for nodes, _ in chains for node in nodes]
        options: list[Grouping] = []
        if len(set(members)) < len(members):
            reason = "the same maps stand in it more than once"
        elif any(start is not fork for _, start in chains):
            reason = "the branches do not start at one fork through single-user layers"
        elif any(not nodes for nodes, _ in chains):
            reason = "one branch is the fork itself"
        else:
            reason = "no small branch stands next to a larger convolution"
            options = groupings(arms_of(graph_module, cat))
        convs = [label(n) for n in members if isinstance(layer(graph_module, n), nn.Conv2d)]
        start = _common_start([name.replace("/", ".").split(".") for name in convs])
        return Place((*members, cat), options, reason, name=".".join(start) or cat.name, entry=fork.name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        assert isinstance(option, Grouping)
        cat = find(block, site.nodes[-1])
        arms = [] if cat is None else arms_of(block, cat)
        if cat is None or option not in groupings(arms):
            return False
        own = segments(arms)
        rebuilt = {i: _widened(block, arms, i, maps) for i, maps in option.runs if maps != own[i]}
        for index, conv in rebuilt.items():
            block.set_submodule(str(_last_conv(block, arms[index]).target), conv)
        parts = [arms[index].nodes[-1] for index, _ in option.runs]
        if len(parts) == 1:
            cat.replace_all_uses_with(parts[0])
        else:
            cat.args, cat.kwargs = ((parts, 1), {})
        return True


def _common_start(paths: list[list[str]]) -> list[str]:
    """The words that all paths begin with: the name of the module that holds the branches."""
    columns = itertools.takewhile(lambda words: len(set(words)) == 1, zip(*paths, strict=False))
    return [words[0] for words in columns]


def _last_conv(graph_module: fx.GraphModule, arm: Arm) -> fx.Node:
    return next(n for n in reversed(arm.nodes) if isinstance(layer(graph_module, n), nn.Conv2d))


def _widened(block: fx.GraphModule, arms: list[Arm], keeper: int, run: tuple[int, int]) -> nn.Conv2d:
    """The keeper's last convolution, making a run of maps; carried over where its input allows."""
    node = _last_conv(block, arms[keeper])
    old = layer(block, node)
    assert isinstance(old, nn.Conv2d)
    wide = nn.Conv2d(
        old.in_channels,
        run[1] - run[0],
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        padding_mode=old.padding_mode,
    )
    # Maps that nothing can be carried over to start small and random: zeros would stay dead behind a ReLU.
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(wide.weight.shape, generator=generator, device="cpu")
    weight = noise.to(old.weight.device) * old.weight.detach().std()
    bias = weight.new_zeros(wide.out_channels)
    for arm, (first, last) in zip(arms, segments(arms), strict=True):
        if not any(isinstance(layer(block, n), nn.Conv2d) for n in arm.nodes):
            continue
        source = _last_conv(block, arm)
        donor = layer(block, source)
        assert isinstance(donor, nn.Conv2d)
        start, end = max(first, run[0]), min(last, run[1])
        if start < end and (source is node or _reads_alike(source, donor, node, old)):
            given, taken = slice(start - first, end - first), slice(start - run[0], end - run[0])
            weight[taken] = _centred(donor.weight.detach()[given], old.kernel_size)
            if donor.bias is not None:
                bias[taken] = donor.bias.detach()[given]
    wide.weight, wide.bias = nn.Parameter(weight), nn.Parameter(bias)
    return wide


def _reads_alike(source: fx.Node, donor: nn.Conv2d, node: fx.Node, keeper: nn.Conv2d) -> bool:
    """Whether the keeper can do exactly what the donor does: same input, same places, larger kernel."""
    smaller = all(d <= k for d, k in zip(donor.kernel_size, keeper.kernel_size, strict=True))
    return source.args[0] is node.args[0] and donor.stride == keeper.stride and smaller


def _centred(weight: Tensor, size: tuple[int, ...]) -> Tensor:
    top, left = ((new - old) // 2 for new, old in zip(size, weight.shape[2:], strict=True))
    return embed_kernel(weight, size[0], size[1], top, left)


RULE = Branch()
