"""Make one convolution of a sum of linear branches: convolutions, norms, the input itself (exact).

Before      x -> { Conv2d k | Conv2d 1x1 | BatchNorm2d | nothing } -> + -> y
After       x -> Conv2d K -> y
Conditions  every addend is a convolution or a batch norm of the same x, or x; nothing else reads it; no layer
            is called twice; the same stride; zero padding; at least one convolution
Formula     a sum of linear maps is linear: kernels are laid over each other where their paddings meet
            (RepVGG, Ding et al. 2021, section 3.3); the identity is a 1x1 of ones on the diagonal
"""

from collections.abc import Iterator

from torch import fx, nn

from merges.algebra import fold_norm
from merges.convs import identity_conv, is_plain, make_conv, summed
from merges.graph import find, is_addition, label, layer
from merges.rule import MergeRule, Option, Place, Site, Stage
from merges.sizes import sides

_ONE = Option("one convolution")


class Shortcut(MergeRule):
    name = "shortcut"
    exact = True
    stage = Stage.EXACT

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            source = _common_source(graph_module, node)
            if source is None or _is_inner(node):
                continue
            addends = _addends(node)
            linear = [addend for addend in addends if addend is not source]
            if any(isinstance(layer(graph_module, addend), nn.Conv2d) for addend in linear):
                why = _reason(graph_module, addends, source, node)
                options = [] if why else [_ONE]
                yield Place((*linear, node), options, why, name=label(node), entry=source.name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[-1])
        source = None if node is None else _common_source(block, node)
        if node is None or source is None:
            return False
        addends = _addends(node)
        channels = source.meta["shape"][1]
        one = summed([_as_conv(layer(block, addend), channels) for addend in addends])
        name = next(str(a.target) for a in addends if isinstance(layer(block, a), nn.Conv2d))
        block.set_submodule(name, one)
        with block.graph.inserting_after(node):
            made = block.graph.call_module(name, (source,))
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        return True


def _is_inner(node: fx.Node) -> bool:
    """Whether a sum is only a part of a larger one."""
    return len(node.users) == 1 and is_addition(next(iter(node.users)))


def _addends(node: fx.Node) -> list[fx.Node]:
    """What a sum of sums adds up."""
    found: list[fx.Node] = []
    for part in node.args[:2]:
        assert isinstance(part, fx.Node)
        found += _addends(part) if is_addition(part) and len(part.users) == 1 else [part]
    return found


def _common_source(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The one input of all addends of a sum, or None where it is no sum of linear branches."""
    if not is_addition(node) or not all(isinstance(part, fx.Node) for part in node.args[:2]):
        return None
    addends = _addends(node)
    linear = [a for a in addends if isinstance(layer(graph_module, a), (nn.Conv2d, nn.BatchNorm2d))]
    sources = {a.all_input_nodes[0] for a in linear} | {a for a in addends if a not in linear}
    alone = all(len(addend.users) == 1 for addend in linear)
    return sources.pop() if len(sources) == 1 and linear and alone else None


def _reason(graph_module: fx.GraphModule, addends: list[fx.Node], source: fx.Node, node: fx.Node) -> str:
    """Why the sum is not exactly one convolution; empty where it is."""
    layers = [layer(graph_module, addend) for addend in addends if addend is not source]
    convs = [module for module in layers if isinstance(module, nn.Conv2d)]
    strides = {sides(conv.stride) for conv in convs}
    if any(a.meta["shape"] != node.meta["shape"] for a in addends):
        return "the addends have different shapes (one is broadcast)"
    if not all(is_plain(conv) for conv in convs):
        return "a dilated convolution, or one with another padding than zeros"
    if len(strides) > 1 or (strides - {(1, 1)} and len(convs) < len(addends)):
        return "the branches have different strides"
    if any(isinstance(m, nn.BatchNorm2d) and m.running_mean is None for m in layers):
        return "a norm without running statistics"
    if convs and not _has_size(summed([_as_conv(m, source.meta["shape"][1]) for m in layers]), source, node):
        return "the branches pad differently on the two sides"
    return ""


def _has_size(conv: nn.Conv2d, source: fx.Node, node: fx.Node) -> bool:
    """Whether the convolution makes maps of the sum's size."""
    geometry = zip(conv.kernel_size, conv.stride, sides(conv.padding), strict=True)  # type: ignore[arg-type]
    made = [(n + 2 * p - k) // s + 1 for n, (k, s, p) in zip(source.meta["shape"][2:], geometry, strict=True)]
    return made == list(node.meta["shape"][2:])


def _as_conv(module: nn.Module | None, channels: int) -> nn.Conv2d:
    if isinstance(module, nn.BatchNorm2d):
        one = identity_conv(channels)
        assert module.running_mean is not None
        assert module.running_var is not None
        scale, shift = (None, None) if not module.affine else (module.weight.detach(), module.bias.detach())
        weight, bias = fold_norm(
            one.weight.detach(), None, module.running_mean, module.running_var, module.eps, scale, shift
        )
        return make_conv(weight, bias, groups=channels)
    return module if isinstance(module, nn.Conv2d) else identity_conv(channels)


RULE = Shortcut()
