"""A traced network with its merge sites, cut into blocks that are rebuilt one by one."""

import copy
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property

import torch
from torch import Tensor, fx, nn

from merges.blocks import Block, group_sites
from merges.graph import (
    TraceError,
    extract,
    layer,
    propagate_shapes,
    splice,
    without_weights,
)
from merges.rule import Refusal, Site, Stage, discover
from merges.tracing import freeze_sizes, trace

_OUTLINES = 64  # blocks without weights that are kept: what can be made of choices is soon scored too
_Outline = tuple[fx.GraphModule, dict[str, str]]


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
    """

    name: str
    input_shape: tuple[int, int, int]
    teacher: fx.GraphModule
    sites: tuple[Site, ...]
    refused: tuple[Refusal, ...]
    folded: tuple[Site, ...]
    blocks: tuple[Block, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.blocks, overlapping = group_sites(self.teacher, self.sites)
        self.refused += overlapping
        self.sites = tuple(site for block in self.blocks for site in block.sites)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the structure (layers, shapes, input size), not the weights."""
        lines = [str(self.input_shape)]
        for node in self.teacher.graph.nodes:
            what = layer(self.teacher, node) or getattr(node.target, "__name__", node.target)
            lines.append(f"{node.name} {what} {node.args} {node.meta.get('shape')}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @cached_property
    def weights_fingerprint(self) -> str:
        """Identifies structure and weights together."""
        digest = hashlib.sha256(self.fingerprint.encode())
        for name, tensor in self.teacher.state_dict().items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

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
                raise PatternError(f"no site of {self.name} is named {pattern!r}; 'cli.py sites' lists them")
        wanted = [s for s in self.sites if s.rule not in without and (not only or named(s, only))]
        kept = tuple(s for s in wanted if not named(s, skip))
        refused = tuple(r for r in self.refused if r.rule not in without)
        return Network(self.name, self.input_shape, self.teacher, kept, refused, self.folded)

    def without(self, unwanted: Mapping[str, Mapping[str, str]]) -> "Network":
        """The same network with fewer options: by site, those that are left out and why."""
        kept: list[Site] = []
        refused = list(self.refused)
        for site in self.sites:
            reasons = unwanted.get(site.id, {})
            options = tuple(option for option in site.options if option not in reasons)
            if len(options) > 1:
                kept.append(replace(site, options=options))
            else:
                refused.append(Refusal(site.rule, site.labels, next(iter(reasons.values()))))
        return Network(self.name, self.input_shape, self.teacher, tuple(kept), tuple(refused), self.folded)

    @property
    def classes(self) -> int:
        """How many class scores the network gives."""
        result = next(node for node in self.teacher.graph.nodes if node.op == "output").all_input_nodes[0]
        return int(result.meta["shape"][1])

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
    def _bare(self) -> dict[str, fx.GraphModule]:
        """Every block as the teacher has it, without weights."""
        bare = without_weights(self.teacher)
        return {block.name: extract(bare, block.entry, block.exit) for block in self.blocks}

    def outline(self, block: Block, choices: Mapping[str, str]) -> _Outline:
        """As `rebuild`, without weights (on the meta device): quick, where only the structure matters.

        The latest are kept, and must not be changed.
        """
        return self._outlines(block, frozenset(choices.items()))

    @cached_property
    def _outlines(self) -> Callable[[Block, frozenset[tuple[str, str]]], _Outline]:
        return functools.lru_cache(_OUTLINES)(self._outlined)

    def _outlined(self, block: Block, choices: frozenset[tuple[str, str]]) -> _Outline:
        with torch.device("meta"):
            outline = copy.deepcopy(self._bare[block.name])
            return outline, self.rewrite(outline, block, dict(choices))

    def possible(self, block: Block, choices: Mapping[str, str]) -> dict[str, str]:
        """Those of the choices that can be made together in a block."""
        key = block.name, frozenset(choices.items())
        if key not in self._possible:
            self._possible[key] = self.outline(block, choices)[1] if len(choices) > 1 else dict(choices)
        return self._possible[key]

    @cached_property
    def _possible(self) -> dict[tuple[str, frozenset[tuple[str, str]]], dict[str, str]]:
        return {}

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
        return rebuilt, self.rewrite(rebuilt, block, choices)

    def rewrite(self, rebuilt: fx.GraphModule, block: Block, choices: Mapping[str, str]) -> dict[str, str]:
        """Make choices in a block, in place; those that could be made."""
        made: dict[str, str] = {}
        for rule in discover().values():
            for site in (s for s in block.sites if s.rule == rule.name and s.id in choices):
                if rule.apply(rebuilt, site, choices[site.id]):
                    made[site.id] = choices[site.id]
        propagate_shapes(rebuilt, self.shape_of(block.entry))
        return {site.id: made[site.id] for site in block.sites if site.id in made}

    def merged(
        self, plan: Mapping[str, str], weights: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> fx.GraphModule:
        """A new network with the plan's merges; `weights` gives learned weights by block name."""
        whole = self.skeleton()
        for block in self.blocks:
            choices = block.choices(plan)
            if choices:
                rebuilt, _ = self.rebuild(block, choices)
                whole.set_submodule(block.name, rebuilt)
            if weights and block.name in weights:
                whole.get_submodule(block.name).load_state_dict(dict(weights[block.name]))
        return whole


def analyse(name: str, model: nn.Module, input_shape: tuple[int, int, int]) -> Network:
    """Trace a network, apply the rules that are always worth it, and find every site.

    Raises
    ------
    TraceError
        The network cannot be traced, has several inputs or outputs, or refuses the input size.
    """
    traced = trace(model)
    inputs = [n for n in traced.graph.nodes if n.op == "placeholder"]
    if len(inputs) != 1:
        names = ", ".join(n.name for n in inputs)
        raise TraceError(
            f"{name} has {len(inputs)} inputs ({names}); only networks with one image input are supported"
        )
    propagate_shapes(traced, (1, *input_shape))
    freeze_sizes(traced, name)
    result = next(n for n in traced.graph.nodes if n.op == "output").args[0]
    if not isinstance(result, fx.Node) or len(result.meta["shape"] or ()) != 2:
        raise TraceError(
            f"{name} does not return one vector of class scores an image; only classifiers are supported"
        )
    folded: list[Site] = []
    sites: list[Site] = []
    refused: list[Refusal] = []
    for rule in discover().values():
        for found in rule.find(traced):
            if isinstance(found, Refusal):
                refused.append(found)
            elif rule.stage is Stage.ALWAYS and rule.apply(traced, found, found.options[-1]):
                folded.append(found)
            elif rule.stage is not Stage.ALWAYS:
                sites.append(found)
        if rule.stage is Stage.ALWAYS:
            propagate_shapes(traced, (1, *input_shape))
    return Network(name, input_shape, traced, tuple(sites), tuple(refused), tuple(folded))
