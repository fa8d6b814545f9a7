"""Factor a convolution or a fully connected layer into thinner ones (learned).

Before      x -> Conv2d k x k (in -> out) -> y, or x -> Linear (in -> out) -> y
After       x -> Conv2d 1x1 (in -> r) -> Conv2d k x k (r -> q) -> Conv2d 1x1 (q -> out) -> y, or the same
            with a depthwise k x k and r = q, or x -> Linear (in -> r) -> Linear (r -> out) -> y
Conditions  called once; ungrouped; the factors need fewer multiply-accumulates than the layer
Formula     ``rank``: Tucker-2 of the kernel (Kim et al. 2016), the paper's ``-Tucker`` variants (DeepRebirth
            section 4.2); truncated SVD for fully connected layers. ``cp``: CP decomposition of the kernel
            (Lebedev et al. 2015), with a depthwise convolution over the taps (Astrid and Lee 2017). Ranks are
            shares of in and out (``cp``: of the larger), in multiples of 4: options depend on shapes alone,
            so plans are priced without weights. Factors whatever stands there after all other rules of a plan
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, fx, nn

from merges.algebra import cp, truncated_svd, tucker2
from merges.convs import make_conv
from merges.graph import bypass, find, insert_after, layer
from merges.rule import MergeRule, Option, Place, Site, Stage

_SHARES = (0.75, 0.5, 0.25)
_CP_SHARES = (1.0, 0.5)
_MULTIPLE = 4
_TOO_DEAR = "no rank needs fewer multiply-accumulates, or its channels are grouped"


@dataclass(frozen=True)
class _Rank(Option):
    """`share` of the channels as ranks."""

    share: float


@dataclass(frozen=True)
class _Components(Option):
    """As many components as `share` of the larger number of channels."""

    share: float


class LowRank(MergeRule):
    name = "low_rank"
    stage = Stage.LAST
    inherits = True
    on_request = True

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            module = layer(graph_module, node)
            if not isinstance(module, nn.Linear) and not _is_spatial(module):
                continue
            options: list[Option] = [_Rank(f"rank {share}", share) for share in _SHARES]
            options += [_Components(f"cp {share}", share) for share in _CP_SHARES]
            options = [option for option in options if _ranks(module, option)]
            yield Place((node,), options, _TOO_DEAR)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[0])
        module = None if node is None else layer(block, node)
        ranks = _ranks(module, option)
        if node is None or ranks is None:
            return False
        factors = (
            _components(module, ranks[0]) if isinstance(option, _Components) else _factors(module, *ranks)
        )
        insert_after(block, node, {f"factor{number}": factor for number, factor in enumerate(factors)})
        bypass(block, node)
        return True

    def lost_energy(self, graph_module: fx.GraphModule, site: Site, option: Option) -> float:
        node = find(graph_module, site.nodes[0])
        assert node is not None
        module = layer(graph_module, node)
        ranks = _ranks(module, option)
        assert ranks is not None
        assert isinstance(module, (nn.Linear, nn.Conv2d))
        weight = module.weight.detach()
        if isinstance(module, nn.Linear):
            left, right = truncated_svd(weight, ranks[0])
            kept = ((left.T @ left) * (right @ right.T)).sum()
        elif isinstance(option, _Components):
            out, taps, inside = cp(weight, ranks[0])
            kept = ((out.T @ out) * (taps.flatten(1) @ taps.flatten(1).T) * (inside @ inside.T)).sum()
        else:
            kept = tucker2(weight, *ranks)[1].square().sum()
        return max(0.0, 1 - float(kept / weight.square().sum().clamp_min(1e-30)))


def _is_spatial(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)


def _ranks(module: nn.Module | None, option: Option) -> tuple[int, int] | None:
    """Ranks towards the output and the input, or None where factors would not be cheaper."""
    assert isinstance(option, (_Rank, _Components))
    share = option.share
    if isinstance(module, nn.Linear):
        if isinstance(option, _Components):
            return None
        rank = _multiple(min(module.in_features, module.out_features) * share)
        cheaper = rank * (module.in_features + module.out_features) < module.weight.numel()
        return (rank, rank) if cheaper else None
    if not isinstance(module, nn.Conv2d) or module.groups > 1 or not _is_spatial(module):
        return None
    out, inside = (_multiple(channels * share) for channels in (module.out_channels, module.in_channels))
    inside = min(inside, module.in_channels)
    taps = module.kernel_size[0] * module.kernel_size[1]
    pixels = module.stride[0] * module.stride[1]  # the first factor runs before the stride
    if isinstance(option, _Components):
        out = inside = _multiple(max(module.out_channels, module.in_channels) * share)
        between = taps * out
    else:
        between = taps * inside * out
    macs = pixels * module.in_channels * inside + between + out * module.out_channels
    return (out, inside) if macs < module.weight.numel() else None


def _multiple(width: float) -> int:
    return max(_MULTIPLE, round(width / _MULTIPLE) * _MULTIPLE)


def _factors(module: nn.Module | None, rank_out: int, rank_in: int) -> list[nn.Module]:
    if isinstance(module, nn.Linear):
        left, right = truncated_svd(module.weight.detach(), rank_out)
        return [_linear(right, None), _linear(left, module.bias)]
    assert isinstance(module, nn.Conv2d)
    left, core, right = tucker2(module.weight.detach(), rank_out, rank_in)
    return _three(module, left, core, right)


def _components(module: nn.Module | None, rank: int) -> list[nn.Module]:
    assert isinstance(module, nn.Conv2d)
    left, taps, right = cp(module.weight.detach(), rank)
    return _three(module, left, taps.unsqueeze(1), right)


def _three(module: nn.Conv2d, left: Tensor, core: Tensor, right: Tensor) -> list[nn.Module]:
    """1x1, a convolution like the module whose kernel is `core` (depthwise for one input channel), 1x1."""
    middle = nn.Conv2d(
        len(right),
        len(core),
        module.kernel_size,  # type: ignore[arg-type]
        module.stride,  # type: ignore[arg-type]
        module.padding,  # type: ignore[arg-type]
        module.dilation,  # type: ignore[arg-type]
        groups=len(right) // core.shape[1],
        bias=False,
        padding_mode=module.padding_mode,
    )
    middle.weight = nn.Parameter(core.contiguous())
    first = make_conv(right[:, :, None, None], None)
    return [first, middle, make_conv(left[:, :, None, None], module.bias)]


def _linear(weight: Tensor, bias: nn.Parameter | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone())
    return linear


RULE = LowRank()
