"""From a network to its sites: read, folded, checked, narrowed where that is asked for."""

import copy
from dataclasses import replace

from torch import Tensor, fx, nn

from merges.folding import fold
from merges.graph import propagate_shapes
from merges.narrow import narrow
from merges.network import Network
from merges.reading.read import Reading
from merges.rule import Refusal, Site, Stage, discover


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
    propagate_shapes(graph, (1, *reading.input_shape))
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
