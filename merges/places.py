"""What a rule says of a place it has found: a site with options, or why not."""

from collections.abc import Sequence

from torch import fx

from merges.graph import label, layer
from merges.rule import KEEP, Option, Refusal, Site

_SHARED = "a layer is called more than once (shared)"


def place(
    graph_module: fx.GraphModule,
    rule: str,
    nodes: Sequence[fx.Node],
    options: Sequence[Option],
    shared: set[str],
    *,
    name: str = "",
    entry: fx.Node | None = None,
    exit_: str = "",
    reason: str = "",
) -> Site | Refusal:
    """A site from the first node's input (or `entry`) to the last node (or `exit_`), or a refusal.

    Parameters
    ----------
    options : without ``keep``; where there are none, the place is refused for the `reason`
    shared : names of nodes whose layer is called more than once (see ``shared_layers``)
    name : in the site's id after the rule's name; the first node's label where empty
    """
    labels = tuple(label(node) for node in nodes)
    called = {node.name for node in nodes if layer(graph_module, node) is not None}
    if shared & called:
        return Refusal(rule, labels, _SHARED)
    if not options:
        return Refusal(rule, labels, reason)
    return Site(
        id=f"{rule}:{name or labels[0]}",
        rule=rule,
        nodes=tuple(node.name for node in nodes),
        labels=labels,
        entry=(entry or nodes[0].all_input_nodes[0]).name,
        exit=exit_ or nodes[-1].name,
        options=(Option(KEEP), *options),
    )
