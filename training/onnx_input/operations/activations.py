"""Functions of each number by itself."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value

_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HardSwish": nn.Hardswish,
    "Mish": nn.Mish,
    "Softsign": nn.Softsign,
}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Log": torch.log,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sqrt": torch.sqrt,
}
_SELU = (1.6732632423543772, 1.0507009873554805)


@operation(*_LAYERS)
def layer(step: Step) -> Value:
    return step.call(_LAYERS[step.op](), step.x)


@operation(*_FUNCTIONS)
def function(step: Step) -> Value:
    return step.call(_FUNCTIONS[step.op], step.x)


@operation("Softplus")
def softplus(step: Step) -> Value:
    return step.call(nn.Softplus(), step.x)


@operation("Gelu")
def gelu(step: Step) -> Value:
    return step.call(nn.GELU(step.attr("approximate", "none")), step.x)


@operation("Swish")
def swish(step: Step) -> Value:
    if step.attr("alpha", 1.0) == 1.0:
        return step.call(nn.SiLU(), step.x)
    gate = step.call(torch.sigmoid, step.call(torch.mul, step.x, step.attr("alpha")))
    return step.call(torch.mul, step.x, gate)


@operation("Elu")
def elu(step: Step) -> Value:
    return step.call(nn.ELU(step.attr("alpha", 1.0)), step.x)


@operation("Celu")
def celu(step: Step) -> Value:
    return step.call(nn.CELU(step.attr("alpha", 1.0)), step.x)


@operation("Selu")
def selu(step: Step) -> Value:
    alpha, gamma = step.attr("alpha", _SELU[0]), step.attr("gamma", _SELU[1])
    if math.isclose(alpha, _SELU[0], rel_tol=1e-5) and math.isclose(gamma, _SELU[1], rel_tol=1e-5):
        return step.call(nn.SELU(), step.x)
    return step.call(torch.mul, step.call(nn.ELU(alpha), step.x), gamma)


@operation("LeakyRelu")
def leaky_relu(step: Step) -> Value:
    return step.call(nn.LeakyReLU(step.attr("alpha", 0.01)), step.x)


@operation("ThresholdedRelu")
def thresholded_relu(step: Step) -> Value:
    return step.call(nn.Threshold(step.attr("alpha", 1.0), 0.0), step.x)


@operation("PRelu")
def prelu(step: Step) -> Value:
    slope, x = step.constant(1, "slopes"), step.x
    if slope.numel() == 1:
        return step.layer(nn.PReLU(1, device="meta"), x, weight=slope.flatten())
    channels = x.side(1)
    wanted = [1] * (x.rank - slope.ndim) + list(slope.shape)
    if x.rank > 1 and wanted == [1, channels, *[1] * (x.rank - 2)]:
        return step.layer(nn.PReLU(channels, device="meta"), x, weight=slope.flatten())
    below = step.call(torch.mul, step.call(torch.clamp, x, max=0.0), step.input(1))
    return step.call(torch.add, step.call(torch.relu, x), below)


@operation("HardSigmoid")
def hard_sigmoid(step: Step) -> Value:
    alpha, beta = step.attr("alpha", 0.2), step.attr("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-5) and beta == 0.5:
        return step.call(nn.Hardsigmoid(), step.x)
    line = step.call(torch.add, step.call(torch.mul, step.x, alpha), beta)
    return step.call(nn.Hardtanh(0.0, 1.0), line)


@operation("Clip")
def clip(step: Step) -> Value:
    low, high = (_bound(step, name, index) for index, name in ((1, "min"), (2, "max")))
    x = step.x
    if low is None and high is None:
        return x
    if not x.dtype.is_floating_point or x.known:
        return step.call(torch.clamp, x, min=low, max=high)
    if low == 0 and high == 6:
        return step.call(nn.ReLU6(), x)
    if low == 0 and high is None:
        return step.call(nn.ReLU(), x)
    if low is not None and high is not None and low < high:
        return step.call(nn.Hardtanh(low, high), x)
    return step.call(torch.clamp, x, min=low, max=high)


def _bound(step: Step, name: str, index: int) -> float | int | None:
    if step.opset < 11:
        bound = step.attr(name)
    else:
        bound = None if step.given(index) is None else step.constant(index, "bounds").item()
    # Old exporters write the largest number for no bound.
    return None if bound is None or abs(bound) > 3e38 else bound


@operation("Softmax", "LogSoftmax")
def softmax(step: Step) -> Value:
    layer = nn.Softmax if step.op == "Softmax" else nn.LogSoftmax
    x = step.x
    if step.opset >= 13:
        return step.call(layer(dim=step.attr("axis", -1)), x)
    axis = step.attr("axis", 1) % max(x.rank, 1)
    if all(set(side) == {1} for side in x.sides[axis + 1 :]):
        return step.call(layer(dim=axis), x)
    # Before opset 13 all sides from the axis on count as one.
    flat = step.call(layer(dim=axis), step.call(torch.flatten, x, axis))
    return step.call(torch.reshape, flat, [step.size(x, i) if i else -1 for i in range(x.rank)])


@operation("Dropout")
def dropout(step: Step) -> Value:
    training = step.given(2)
    if training is not None and bool(step.constant(2, "switches")):
        raise RefusedError("it drops numbers at random, as in training; export the network with eval()")
    return step.x


@operation("Identity")
def identity(step: Step) -> Value:
    return step.x
