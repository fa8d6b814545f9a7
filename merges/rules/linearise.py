"""Drop the activation between two convolutions and make them one (learned).

Before      x -> Conv2d k1, s1 -> ReLU -> Conv2d k2, s2 -> y
After       x -> Conv2d K, s1 s2 -> y, with K = k1 + (k2 - 1) s1
Conditions  a chain of layers called once and read once; zero padding, no dilation; the one convolution needs
            no more multiply-accumulates than the two
Formula     LayerMerge (Kim et al. 2024): without the activation the two are one linear map; the padding
            moves to the input (p1 + p2 s1), which changes the border only. It starts as the composed kernel
"""

from collections.abc import Iterator

from torch import fx, nn

from merges.convs import composed, composed_weights, is_plain
from merges.graph import bypass, find, layer
from merges.rule import MergeRule, Option, Place, Site

_DROP = Option("drop activation")


class Linearise(MergeRule):
    name = "linearise"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            chain = _chain(graph_module, node)
            if chain is not None and _pays(graph_module, chain):
                yield Place(chain, [_DROP])

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[0])
        chain = None if node is None else _chain(block, node)
        if chain is None or tuple(member.name for member in chain) != site.nodes:
            return False
        first, second = (layer(block, chain[i]) for i in (0, 2))
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        block.set_submodule(str(chain[2].target), composed(first, second))
        bypass(block, chain[1])
        bypass(block, chain[0])
        return True


def _chain(graph_module: fx.GraphModule, conv: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node] | None:
    """Convolution, activation and convolution, each read by the next alone."""
    chain = [conv]
    for kinds in ((nn.ReLU, nn.ReLU6), (nn.Conv2d,)):
        if len(chain[-1].users) != 1:
            return None
        chain.append(next(iter(chain[-1].users)))
        if not isinstance(layer(graph_module, chain[-1]), kinds):
            return None
    ends = [layer(graph_module, chain[0]), layer(graph_module, chain[2])]
    plain = all(isinstance(end, nn.Conv2d) and is_plain(end) for end in ends)
    return (chain[0], chain[1], chain[2]) if plain else None


def _pays(graph_module: fx.GraphModule, chain: tuple[fx.Node, fx.Node, fx.Node]) -> bool:
    first, second = (layer(graph_module, chain[i]) for i in (0, 2))
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    made, answer = (chain[i].meta["shape"][2] * chain[i].meta["shape"][3] for i in (0, 2))
    one = composed_weights(first, second) * answer
    return one <= first.weight.numel() * made + second.weight.numel() * answer


RULE = Linearise()
