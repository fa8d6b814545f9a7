"""A traced network with its merge sites, cut into blocks that are rebuilt one by one."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from merges import fingerprints
from merges.blocks import Block, group_sites
from merges.folding import fold
from merges.graph import bypass, extract, layer, named_outputs, propagate_shapes, splice, tidy
from merges.narrow import narrow
from merges.outlines import Outlines
from merges.reading.check import TOLERANCE, TOLERANCE_DOUBLE, answers_of, example_images, worst
from merges.reading.read import Reading
from merges.rule import MergeError, Option, Refusal, Site, Stage, discover

_CHECK_IMAGES = 2


class PatternError(ValueError):
    """A pattern names no site; the message says which."""


@dataclass
class Network:
    """The teacher as a graph with its norms folded, and the places where it can be merged.

    Attributes
    ----------
    name : as the user calls it
    input_shape : (channels, height, width)
    teacher : the traced network, norms folded; never changed
    sites, refused : what the rules found
    folded : layers that an exact rule has taken away for every plan and for the baseline
    remarks : what the user should know about how it was read
    ending : a softmax over the scores that was left off
    wide : the network before it was narrowed, where it was (see `narrowed`)
    """

    name: str
    input_shape: tuple[int, int, int]
    teacher: fx.GraphModule
    sites: tuple[Site, ...]
    refused: tuple[Refusal, ...]
    folded: tuple[Site, ...]
    remarks: tuple[str, ...] = ()
    ending: nn.Module | None = None
    wide: "Network | None" = None
    blocks: tuple[Block, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.blocks, overlapping = group_sites(self.teacher, self.sites)
        self.refused += overlapping
        self.sites = tuple(site for block in self.blocks for site in block.sites)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the structure (layers, shapes, input size), not the weights."""
        return fingerprints.of_structure(self.teacher, self.input_shape)

    @cached_property
    def weights_fingerprint(self) -> str:
        """Identifies structure and weights together."""
        return fingerprints.of_weights(self.teacher, self.fingerprint)

    @property
    def untouched(self) -> fx.GraphModule:
        """What a plan's network is compared with: the teacher, before it was narrowed."""
        return self.teacher if self.wide is None else self.wide.teacher

    def restricted(
        self, only: Collection[str], skip: Collection[str], without: Collection[str] = ()
    ) -> "Network":
        """The same network with fewer sites: those that `only` names (all where empty) and `skip` does not.

        Both hold shell patterns for site ids; `without` names rules whose sites are not offered at all.

        Raises
        ------
        PatternError
            A pattern names no site.
        """

        def named(site: Site, patterns: Collection[str]) -> bool:
            return any(fnmatchcase(site.id, pattern) for pattern in patterns)

        for pattern in (*only, *skip):
            if not any(named(site, [pattern]) for site in self.sites):
                raise PatternError(f"no site of {self.name} is named {pattern!r}; 'sites' lists them")
        wanted = [s for s in self.sites if s.rule not in without and (not only or named(s, only))]
        kept = tuple(s for s in wanted if not named(s, skip))
        refused = tuple(r for r in self.refused if r.rule not in without)
        return replace(self, sites=kept, refused=refused)

    def without(self, unwanted: Mapping[str, Mapping[str, str]]) -> "Network":
        """The same network with fewer options: by site, those that are left out and why."""
        kept: list[Site] = []
        refused = list(self.refused)
        for site in self.sites:
            reasons = unwanted.get(site.id, {})
            options = tuple(option for option in site.options if option.name not in reasons)
            if len(options) > 1:
                kept.append(replace(site, options=options))
            else:
                refused.append(Refusal(site.rule, site.labels, next(iter(reasons.values()))))
        return replace(self, sites=tuple(kept), refused=tuple(refused))

    @property
    def classes(self) -> int | None:
        """How many class scores the network gives; None if it does not answer with one vector."""
        shapes = list(self.outputs.values())
        return shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 2 else None

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors that the network gives for one image (batch 1 first), by name."""
        return {name: node.meta["shape"] for name, node in named_outputs(self.teacher).items()}

    def without_softmax(self) -> "Network":
        """The same network without a softmax over its class scores, which changes no answer's rank.

        It is kept as `ending`: see `ended`.
        """
        teacher = copy.deepcopy(self.teacher)
        (last, *_) = named_outputs(teacher).values()
        module = layer(teacher, last)
        if self.classes is None or not isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            return self
        bypass(teacher, last)
        tidy(teacher)
        remark = f"the {type(module).__name__.lower()} at the end of {self.name} is left off until the export"
        return replace(self, teacher=teacher, remarks=(*self.remarks, remark), ending=module)

    def ended(self, made: fx.GraphModule) -> nn.Module:
        """The teacher, or what was made of it, with the softmax that was left off."""
        return made if self.ending is None else nn.Sequential(made, self.ending).eval()

    def shape_of(self, node: str) -> tuple[int, ...]:
        """Output shape of a node, batch (1) first."""
        return next(n.meta["shape"] for n in self.teacher.graph.nodes if n.name == node)

    def skeleton(self) -> fx.GraphModule:
        """The teacher with every block as one module (weights copied), named as the block."""
        return copy.deepcopy(self._spliced)

    @cached_property
    def _spliced(self) -> fx.GraphModule:
        whole = copy.deepcopy(self.teacher)
        for block in reversed(self.blocks):  # an entry may be the exit of an earlier block
            splice(whole, block.entry, block.exit, block.name, self.original(block))
        whole.delete_all_unused_submodules()
        whole.recompile()
        propagate_shapes(whole, (1, *self.input_shape))
        return whole

    def original(self, block: Block) -> fx.GraphModule:
        """A copy of the block as the teacher has it."""
        return extract(self.teacher, block.entry, block.exit)

    @cached_property
    def outlines(self) -> Outlines:
        """The network's blocks without weights."""
        return Outlines(self)

    def rebuild(
        self, block: Block, choices: Mapping[str, str], energies: Mapping[str, Tensor] | None = None
    ) -> tuple[fx.GraphModule, dict[str, str]]:
        """The block after the choices, and those of them that could be made.

        A choice whose layers an earlier one took away falls back to ``keep``: rules are applied in
        one fixed order, so that the same conflict is always repaired in the same way. `energies` gives the
        mean square of every channel that a node makes on real images, by node: rules that drop channels
        then know which are lively.
        """
        rebuilt = self.original(block)
        for node in rebuilt.graph.nodes:
            node.meta["energy"] = (energies or {}).get(node.name)
        made = self.rewrite(rebuilt, block, choices)
        if made and block.keeps_outputs(made):
            self._check_exact(block, made, rebuilt)
        return rebuilt, made

    def _check_exact(self, block: Block, made: dict[str, str], rebuilt: fx.GraphModule) -> None:
        """Compare a block after exact choices with the teacher's, the first time that it is built."""
        key = block.name, frozenset(made.items())
        if key in self._checked:
            return
        images = example_images(self.shape_of(block.entry)[1:], _CHECK_IMAGES)
        if worst(answers_of(rebuilt, images), answers_of(self.original(block), images)) > TOLERANCE:
            exact, images = self.original(block).double(), images.double()
            wanted = answers_of(exact, images)
            self.rewrite(exact, block, made)
            if worst(answers_of(exact, images), wanted) > TOLERANCE_DOUBLE:
                raise MergeError(f"{', '.join(made)} changed what {self.name} answers; leave it out: `skip`")
        self._checked.add(key)

    @cached_property
    def _checked(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return set()

    def rewrite(self, rebuilt: fx.GraphModule, block: Block, choices: Mapping[str, str]) -> dict[str, str]:
        """Make choices in a block, in place; those that could be made."""
        made: dict[str, str] = {}
        for rule in discover().values():
            for site in (s for s in block.sites if s.rule == rule.name and s.id in choices):
                if rule.apply(rebuilt, site, site.option(choices[site.id])):
                    rebuilt.graph.eliminate_dead_code()
                    rebuilt.delete_all_unused_submodules()
                    made[site.id] = choices[site.id]
        tidy(rebuilt)
        propagate_shapes(rebuilt, self.shape_of(block.entry))
        return {site.id: made[site.id] for site in block.sites if site.id in made}

    def merged(
        self, plan: Mapping[str, Option | str], weights: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> fx.GraphModule:
        """A new network with a plan's merges: by site id its option, or the option's name.

        `weights` gives learned weights by block name.

        Raises
        ------
        MergeError
            The plan names a site or an option that there is not, an exact merge changed the answers, or
            weights are not finite.
        """
        unknown = set(plan) - {site.id for site in self.sites}
        if unknown:
            raise MergeError(f"{self.name} has no site {unknown.pop()!r}; 'sites' lists them")
        named = {site: str(option) for site, option in plan.items()}
        whole = self.skeleton()
        for block in self.blocks:
            choices = block.choices(named)
            if choices:
                rebuilt, _ = self.rebuild(block, choices)
                whole.set_submodule(block.name, rebuilt)
            if weights and block.name in weights:
                whole.get_submodule(block.name).load_state_dict(dict(weights[block.name]))
        propagate_shapes(whole, (1, *self.input_shape))
        if not all(bool(torch.isfinite(weight).all()) for weight in whole.parameters()):
            raise MergeError(f"a plan of {self.name} has weights that are not finite")
        return whole


def analyse(
    name: str, model: nn.Module, input_shape: tuple[int, int, int], photo: Tensor | None = None
) -> Network:
    """Read a network, apply the rules that are always worth it, check the answers, and find every site.

    Parameters
    ----------
    photo : a preprocessed image (channels, height, width) that the check asks too; None takes smooth noise

    Raises
    ------
    TraceError
        The network cannot be read (the message says why and where), or refuses the input size.
    """
    return found(Reading.of(name, model, input_shape), photo)


def found(reading: Reading, photo: Tensor | None = None) -> Network:
    """As `analyse`, for a network that has been read; with the weights that it has now."""
    graph = reading.graph()
    folded, refused = fold(graph, reading.input_shape)
    sites, not_sites = _places(graph)
    remark = reading.check(graph, photo)
    return Network(
        reading.name,
        reading.input_shape,
        graph,
        tuple(sites),
        (*refused, *not_sites),
        tuple(folded),
        (remark,) if remark else (),
    )


def narrowed(network: Network, share: float) -> Network:
    """The network with about this share of its channels, with the sites that it then has.

    Its weights are those of the channels that stay, and have to be learned anew. Where no channel can go, it
    is the same network.
    """
    graph = copy.deepcopy(network.teacher)
    if not narrow(graph, share):
        return network
    sites, refused = _places(graph)
    folding = [refusal for refusal in network.refused if discover()[refusal.rule].stage is Stage.ALWAYS]
    return replace(network, teacher=graph, sites=tuple(sites), refused=(*folding, *refused), wide=network)


def _places(graph: fx.GraphModule) -> tuple[list[Site], list[Refusal]]:
    """What the rules of plans find."""
    places = [
        place for rule in discover().values() if rule.stage is not Stage.ALWAYS for place in rule.find(graph)
    ]
    sites = [place for place in places if isinstance(place, Site)]
    return sites, [place for place in places if isinstance(place, Refusal)]
