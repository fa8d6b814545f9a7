"""What a merge rule is, and the discovery of the rules in ``merges/rules``."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from torch import fx

from merges.graph import label, layer, shared_layers

KEEP = "keep"
_SHARED = "a layer is called more than once (shared)"


class MergeError(RuntimeError):
    """A merge did not keep what it must keep; the message names the place. A fault of a rule, or weights."""


class Stage(IntEnum):
    """When a rule is applied: to every network (a deployer gets it for free), or in this order in a plan."""

    ALWAYS = 0
    SKIP = 1
    EXACT = 2
    REBIRTH = 3
    LAST = 4


@dataclass(frozen=True)
class Option:
    """One choice at a site, known to plans, studies and people by its name; subclasses add amounts."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Site:
    """One place in one network where a rule applies.

    Attributes
    ----------
    id : stable name, ``rule:place``
    rule : name of the rule
    nodes : names of the graph's nodes that the rule may change, in order
    labels : the same as a person knows them (layer names)
    entry, exit : the nodes between which the network changes (entry itself does not)
    options : the choices, the first is always ``keep``
    """

    id: str
    rule: str
    nodes: tuple[str, ...]
    labels: tuple[str, ...]
    entry: str
    exit: str
    options: tuple[Option, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What its options are called in plans."""
        return tuple(option.name for option in self.options)

    def option(self, name: str) -> Option:
        """The option of that name.

        Raises
        ------
        MergeError
            The site has none.
        """
        for option in self.options:
            if option.name == name:
                return option
        raise MergeError(f"site {self.id} has no option {name!r}; it has {', '.join(self.names)}")

    @property
    def stage(self) -> Stage:
        """When its rule is applied."""
        return discover()[self.rule].stage

    @property
    def exact(self) -> bool:
        """Whether its options keep the network's outputs."""
        return discover()[self.rule].exact

    @property
    def inherits(self) -> bool:
        """Whether its new layers are usable with the weights that they inherit, before any is learned."""
        return discover()[self.rule].inherits

    @property
    def on_request(self) -> bool:
        """Whether it is offered only where it is asked for."""
        return discover()[self.rule].on_request


@dataclass(frozen=True)
class Refusal:
    """A place that looks like a site but is not, with the reason."""

    rule: str
    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Place:
    """Where a rule applies, or nearly does.

    Attributes
    ----------
    nodes : the graph's nodes that the rule may change, in order
    options : without ``keep``; where there are none, the place is refused for the `reason`
    name : in the site's id after the rule's name; the first node's label where empty
    entry, exit : names of the nodes between which the network changes; where empty, what the first node
        reads, and the last node
    """

    nodes: Sequence[fx.Node]
    options: Sequence[Option]
    reason: str = ""
    name: str = ""
    entry: str = ""
    exit: str = ""


class MergeRule(ABC):
    """One way to rewrite a place in a network. Rules hold no state.

    Attributes
    ----------
    name : begins the ids of its sites
    exact : whether it keeps the network's outputs; others leave weights that have to be learned, started
        from all that can be carried over
    stage : when it is applied
    inherits : for a learned rule, whether its layers are usable before they are learned (see `lost_energy`)
    on_request : whether its sites are offered only where they are asked for
    """

    name: str
    exact: bool = False
    stage: Stage = Stage.REBIRTH
    inherits: bool = False
    on_request: bool = False

    @abstractmethod
    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        """All places of the rule; node shapes are in ``node.meta["shape"]``."""

    def find(self, graph_module: fx.GraphModule) -> list[Site | Refusal]:
        """Sites at the rule's places; refusals where it has no options or a layer is shared."""
        shared = shared_layers(graph_module)
        return [self._site(graph_module, place, shared) for place in self.places(graph_module)]

    def _site(self, graph_module: fx.GraphModule, place: Place, shared: set[str]) -> Site | Refusal:
        nodes = place.nodes
        labels = tuple(label(node) for node in nodes)
        if shared & {node.name for node in nodes if layer(graph_module, node) is not None}:
            return Refusal(self.name, labels, _SHARED)
        if not place.options:
            return Refusal(self.name, labels, place.reason)
        return Site(
            id=f"{self.name}:{place.name or labels[0]}",
            rule=self.name,
            nodes=tuple(node.name for node in nodes),
            labels=labels,
            entry=place.entry or nodes[0].all_input_nodes[0].name,
            exit=place.exit or nodes[-1].name,
            options=(Option(KEEP), *place.options),
        )

    @abstractmethod
    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        """Rewrite `block` in place; False where an earlier rewrite took the site away.

        What no longer leads to its output is dropped afterwards.
        """

    def lost_energy(self, graph_module: fx.GraphModule, site: Site, option: Option) -> float:
        """The share of the layers' squared weights that new layers do not inherit (0 to 1)."""
        return 1.0


@cache
def discover() -> dict[str, MergeRule]:
    """All rules by name, in the order in which they are applied to a block."""
    package = importlib.import_module(".rules", __package__)
    modules = [
        importlib.import_module(f"{package.__name__}.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
    ]
    found = [module.RULE for module in modules]
    return {rule.name: rule for rule in sorted(found, key=lambda rule: (rule.stage, rule.name))}


def rule_of(site_id: str) -> MergeRule | None:
    """The rule that a site's id names; None where there is no such rule."""
    return discover().get(site_id.partition(":")[0])
