"""The branches of a concatenation ("arms"), and the ways to let fewer of them make all maps."""

from dataclasses import dataclass
from itertools import accumulate

from torch import fx, nn

from merges.graph import chain_back, concatenated, layer
from merges.rule import Option

_IN_A_SMALL_BRANCH = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.ReLU)


@dataclass(frozen=True)
class Arm:
    """One branch: its layers from the fork on, and a short name such as ``3x3`` or ``pool``.

    `activated` tells if a ReLU ends it, `absorbs` if it can make other branches' maps too, `is_small` if
    it is a 1x1 convolution, alone or behind a pooling.
    """

    nodes: tuple[fx.Node, ...]
    name: str
    maps: int
    activated: bool
    absorbs: bool
    is_small: bool


def arms_of(graph_module: fx.GraphModule, cat: fx.Node) -> list[Arm]:
    """Describe the branches of a concatenation, in the order of their maps."""
    arms: list[Arm] = []
    for part in concatenated(cat) or []:
        nodes, _ = chain_back(part)
        layers = [layer(graph_module, node) for node in nodes]
        convs = [m for m in layers if isinstance(m, nn.Conv2d)]
        pooled = isinstance(layers[0], (nn.MaxPool2d, nn.AvgPool2d))
        last = convs[-1] if convs else None
        name = "pool" if pooled else "x".join(map(str, last.kernel_size)) if last else "other"
        alike = sum(arm.name.split(" #")[0] == name for arm in arms)
        name = f"{name} #{alike + 1}" if alike else name
        tail = layers[layers.index(last) + 1 :] if last else layers
        plain = last is not None and last.groups == 1 and all(isinstance(m, nn.ReLU) for m in tail)
        square = last is not None and min(last.kernel_size) >= 3 and not pooled
        single = len(convs) == 1 and convs[0].kernel_size == (1, 1)
        single = single and all(isinstance(m, _IN_A_SMALL_BRANCH) for m in layers)
        arms.append(
            Arm(tuple(nodes), name, part.meta["shape"][1], bool(tail), plain and square, plain and single)
        )
    return arms


@dataclass(frozen=True)
class Grouping(Option):
    """Fewer branches that make all maps.

    `runs` gives for each branch that stays its number and the run of maps (from, to) that it makes.
    """

    runs: tuple[tuple[int, tuple[int, int]], ...]


def groupings(arms: list[Arm]) -> list[Grouping]:
    """The ways to let fewer branches make all maps."""
    absorbed = {
        i: next((j for j in (i + 1, i - 1) if 0 <= j < len(arms) and _takes(arms[j], arm)), None)
        for i, arm in enumerate(arms)
        if arm.is_small
    }
    merges = {i: j for i, j in absorbed.items() if j is not None}
    names = {i: f"{arms[i].name} into {arms[j].name}" for i, j in merges.items()}
    options = [_grouping(arms, name, {i: merges[i]}) for i, name in names.items()]
    if len(merges) > 1:
        full = _grouping(arms, ", ".join(names.values()), merges)
        options += [full, *_shares(arms, full)]
    alike = len({arm.activated for arm in arms}) == 1
    if len(arms) > 2 and merges and alike and all(arm.absorbs or arm.is_small for arm in arms):
        keeper = max((i for i, arm in enumerate(arms) if arm.absorbs), key=lambda i: arms[i].maps)
        everything = dict.fromkeys(range(len(arms)), keeper)
        options.append(_grouping(arms, f"all into {arms[keeper].name}", everything))
    return options


def _takes(keeper: Arm, small: Arm) -> bool:
    return keeper.absorbs and keeper.activated == small.activated


def _grouping(arms: list[Arm], name: str, merges: dict[int, int]) -> Grouping:
    """What is left when each key is absorbed by its value."""
    runs: dict[int, tuple[int, int]] = {}
    for index, (first, last) in enumerate(segments(arms)):
        keeper = merges.get(index, index)
        start, end = runs.get(keeper, (first, last))
        runs[keeper] = (min(start, first), max(end, last))
    return Grouping(name, tuple(sorted(runs.items(), key=lambda item: item[1])))


def _shares(arms: list[Arm], full: Grouping) -> list[Grouping]:
    """Variants of the full merge that move maps between the two branches that are left."""
    if len(full.runs) != 2:
        return []
    (left, (start, border)), (right, (_, end)) = full.runs
    own_left, own_right = segments(arms)[left], segments(arms)[right]
    to_left, to_right = own_right[1], own_left[0] + 3 * (own_left[1] - own_left[0]) // 4
    return [
        Grouping(
            f"{full.name}, {arms[left].name} makes {moved - start}",
            ((left, (start, moved)), (right, (moved, end))),
        )
        for moved in dict.fromkeys((to_left, to_right))
        if start < moved < end and moved != border
    ]


def segments(arms: list[Arm]) -> list[tuple[int, int]]:
    ends = list(accumulate(arm.maps for arm in arms))
    return list(zip([0, *ends[:-1]], ends, strict=True))
