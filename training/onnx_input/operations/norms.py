"""Normalisations."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from training.onnx_input.operations.shapes import reshaped
from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value, axis_of

_BATCH: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_INSTANCE: dict[int, Any] = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}
_EPSILON = 1e-5


@operation("BatchNormalization")
def batch_norm(step: Step) -> Value:
    if step.attr("training_mode", 0):
        raise RefusedError(
            "it takes mean and variance from the images, as in training; export the network with eval()"
        )
    scale, bias = step.constant(1, "scales"), step.constant(2, "biases")
    mean, variance = step.constant(3, "means"), step.constant(4, "variances")
    layer = _BATCH[step.x.rank](len(scale), eps=step.attr("epsilon", _EPSILON), device="meta")
    return step.layer(layer, step.x, weight=scale, bias=bias, running_mean=mean, running_var=variance)


@operation("InstanceNormalization")
def instance_norm(step: Step) -> Value:
    scale, bias = step.constant(1, "scales"), step.constant(2, "biases")
    x, maps = step.x, step.x.row
    if x.rank == 3 and maps is not None and maps.rank == 4 and maps.sides[0] == x.sides[0]:
        # Exporters write a group norm so: a row of numbers a group, which become maps again.
        normed = _of_groups(step, maps, len(scale), scale, bias)
        return reshaped(step, normed, [list(s.shape) for s in x.samples])
    layer = _INSTANCE[x.rank](len(scale), eps=step.attr("epsilon", _EPSILON), affine=True, device="meta")
    return step.layer(layer, x, weight=scale, bias=bias)


@operation("GroupNormalization")
def group_norm(step: Step) -> Value:
    scale, bias = step.constant(1, "scales"), step.constant(2, "biases")
    return _of_groups(step, step.x, step.attr("num_groups", 1), scale, bias)


def _of_groups(step: Step, x: Value, groups: int, scale: Tensor, bias: Tensor) -> Value:
    """A group norm; before opset 21, scales and biases are one number a group."""
    channels = x.side(1)
    if len(scale) == groups:
        scale, bias = (t.repeat_interleave(channels // groups) for t in (scale, bias))
    layer = nn.GroupNorm(groups, channels, eps=step.attr("epsilon", _EPSILON), device="meta")
    return step.layer(layer, x, weight=scale, bias=bias)


@operation("LayerNormalization")
def layer_norm(step: Step) -> Value:
    x = step.x
    axis = axis_of(step.attr("axis", -1), x.rank)
    shape = tuple(x.side(i) for i in range(axis, x.rank))
    scale = step.constant(1, "scales").expand(shape)
    bias = None if step.given(2) is None else step.constant(2, "biases").expand(shape)
    epsilon = step.attr("epsilon", _EPSILON)
    layer = nn.LayerNorm(shape, eps=epsilon, bias=bias is not None, device="meta")
    return step.layer(layer, x, weight=scale, bias=bias)


@operation("LRN")
def local_response_norm(step: Step) -> Value:
    size = step.attr("size")
    if size % 2 == 0:
        raise RefusedError("it takes an even number of channels, which onnxruntime does not run")
    alpha, beta, bias = step.attr("alpha", 1e-4), step.attr("beta", 0.75), step.attr("bias", 1.0)
    return step.call(nn.LocalResponseNorm(size, alpha, beta, bias), step.x)


@operation("LpNormalization")
def lp_norm(step: Step) -> Value:
    return step.call(functional.normalize, step.x, p=float(step.attr("p", 2)), dim=step.attr("axis", -1))
