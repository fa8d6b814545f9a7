"""Exported operations that become norms."""

from typing import Any

from torch import Tensor, fx, nn

from merges.reading.builder import Builder, Made, Unsupported, handles, own


@handles("_native_batch_norm_legit_no_training.default")
def _batch_norm(
    b: Builder,
    input: fx.Node,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> Made:
    own(weight, bias, running_mean, running_var)
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    if len(b.sizes(input)) not in kinds:
        raise Unsupported("a batch norm of maps with more than two sides")
    affine = weight is not None or bias is not None
    norm = kinds[len(b.sizes(input))](len(running_mean), eps, affine=affine)
    statistics = {"running_mean": running_mean, "running_var": running_var}
    return b.layer(b.filled(norm, weight=weight, bias=bias, **statistics), input), None, None


@handles("_native_batch_norm_legit.no_stats")
def _batch_norm_without_statistics(b: Builder, **given: Any) -> Made:
    raise Unsupported("a batch norm without running statistics: its answer depends on the other images")


@handles("batch_norm.default")
def _batch_norm_called(
    b: Builder,
    input: fx.Node,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Made:
    if training or running_mean is None or running_var is None:
        return _batch_norm_without_statistics(b)
    return _batch_norm(b, input, weight, bias, running_mean, running_var, momentum, eps)[0]


@handles("instance_norm.default")
def _instance_norm(
    b: Builder,
    input: fx.Node,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Made:
    own(weight, bias)
    if not use_input_stats or len(b.sizes(input)) != 4:
        raise Unsupported("an instance norm with running statistics")
    norm = nn.InstanceNorm2d(int(b.sizes(input)[1]), eps, affine=weight is not None)
    return b.layer(b.filled(norm, weight=weight, bias=bias), input)


@handles("layer_norm.default")
def _layer_norm(
    b: Builder,
    input: fx.Node,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Made:
    own(weight, bias)
    norm = nn.LayerNorm(normalized_shape, eps, weight is not None, bias is not None)
    return b.layer(b.filled(norm, weight=weight, bias=bias), input)


@handles("rms_norm.default")
def _rms_norm(
    b: Builder,
    input: fx.Node,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Made:
    own(weight)
    norm = nn.RMSNorm(normalized_shape, eps, elementwise_affine=weight is not None)
    return b.layer(b.filled(norm, weight=weight), input)


@handles("group_norm.default")
def _group_norm(
    b: Builder,
    input: fx.Node,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Made:
    own(weight, bias)
    norm = nn.GroupNorm(num_groups, int(b.sizes(input)[1]), eps, affine=weight is not None)
    return b.layer(b.filled(norm, weight=weight, bias=bias), input)
