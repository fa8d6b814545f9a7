"""Fold a batch norm into the convolution before it (exact).

Before      x -> Conv2d -> BatchNorm2d -> y
After       x -> Conv2d' -> y
Conditions  the convolution feeds the norm alone; neither layer is called twice; the norm keeps
            running statistics
Formula     W' = g W, b' = g (b - mean) + beta with g = gamma / sqrt(var + eps), eps the layer's own
"""

from torch import fx, nn

from merges.algebra import fold_norm
from merges.graph import bypass, find, label, layer, shared_layers, tidy
from merges.rule import KEEP, MergeRule, Option, Refusal, Site, Stage


class FoldNorm(MergeRule):
    name = "fold_norm"
    exact = True
    stage = Stage.ALWAYS

    def find(self, graph_module: fx.GraphModule) -> list[Site | Refusal]:
        shared = shared_layers(graph_module)
        found: list[Site | Refusal] = []
        for norm in graph_module.graph.nodes:
            if not isinstance(layer(graph_module, norm), nn.BatchNorm2d):
                continue
            conv = norm.all_input_nodes[0]
            reason = self._refuse(graph_module, conv, norm, shared)
            if reason:
                found.append(Refusal(self.name, (label(norm),), reason))
                continue
            found.append(
                Site(
                    id=f"{self.name}:{label(norm)}",
                    rule=self.name,
                    nodes=(conv.name, norm.name),
                    labels=(label(conv), label(norm)),
                    entry=conv.all_input_nodes[0].name,
                    exit=norm.name,
                    options=(Option(KEEP), Option("fold")),
                )
            )
        return found

    def _refuse(
        self, graph_module: fx.GraphModule, conv: fx.Node, norm: fx.Node, shared: set[str]
    ) -> str | None:
        if not isinstance(layer(graph_module, conv), nn.Conv2d):
            return f"{label(conv)} before it is no convolution"
        if len(conv.users) > 1:
            return f"{label(conv)} before it also feeds another layer"
        if {conv.name, norm.name} & shared:
            return "the layer is called more than once (shared)"
        if getattr(layer(graph_module, norm), "running_var", None) is None:
            return "the norm keeps no running statistics"
        return None

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
        tidy(block)
        return True


RULE = FoldNorm()
