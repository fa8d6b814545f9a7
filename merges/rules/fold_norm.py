"""Fold a batch norm into the convolution before it (exact).

Before      x -> Conv2d -> BatchNorm2d -> y
After       x -> Conv2d' -> y
Conditions  the convolution feeds the norm alone; neither layer is called twice; the norm keeps
            running statistics
Formula     W' = g W, b' = g (b - mean) + beta with g = gamma / sqrt(var + eps), eps the layer's own
"""

from collections.abc import Iterator

from torch import fx, nn

from merges.algebra import fold_norm
from merges.graph import bypass, find, label, layer
from merges.rule import MergeRule, Option, Place, Site, Stage


class FoldNorm(MergeRule):
    name = "fold_norm"
    exact = True
    stage = Stage.ALWAYS

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for norm in graph_module.graph.nodes:
            if not isinstance(layer(graph_module, norm), nn.BatchNorm2d):
                continue
            conv = norm.all_input_nodes[0]
            reason = self._refused(graph_module, conv, norm)
            nodes = (norm,) if reason else (conv, norm)
            yield Place(nodes, [] if reason else [Option("fold")], reason, name=label(norm))

    def _refused(self, graph_module: fx.GraphModule, conv: fx.Node, norm: fx.Node) -> str:
        if not isinstance(layer(graph_module, conv), nn.Conv2d):
            return f"{label(conv)} before it is no convolution"
        if len(conv.users) > 1:
            return f"{label(conv)} before it also feeds another layer"
        if getattr(layer(graph_module, norm), "running_var", None) is None:
            return "the norm keeps no running statistics"
        return ""

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        conv_node, norm_node = (find(block, name) for name in site.nodes)
        if conv_node is None or norm_node is None:
            return False
        conv, norm = layer(block, conv_node), layer(block, norm_node)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fold_norm(
            conv.weight.detach(),
            None if conv.bias is None else conv.bias.detach(),
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight.detach() if norm.affine else None,
            norm.bias.detach() if norm.affine else None,
        )
        conv.weight = nn.Parameter(weight)
        conv.bias = nn.Parameter(bias)
        bypass(block, norm_node)
        return True


RULE = FoldNorm()
