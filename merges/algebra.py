"""Tensors in, tensors out: the arithmetic of merging. Nothing here knows a graph."""

import torch
from torch import Tensor


def fold_norm(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Fold ``scale * (conv(x) - mean) / sqrt(variance + eps) + shift`` into the convolution.

    Parameters
    ----------
    weight : (out, in / groups, kh, kw)
    bias, mean, variance, scale, shift : (out,) or None where the layer has none
    eps : the norm layer's own constant

    Returns
    -------
    weight, bias : of the convolution that alone gives the same output
    """
    gain = torch.rsqrt(variance + eps)
    if scale is not None:
        gain = gain * scale
    bias = torch.zeros_like(mean) if bias is None else bias
    folded = (bias - mean) * gain
    return weight * gain.reshape(-1, 1, 1, 1), folded if shift is None else folded + shift


def embed_kernel(weight: Tensor, height: int, width: int, top: int, left: int) -> Tensor:
    """Place a kernel inside a larger one of zeros, or cut the larger one's window out of it.

    ``weight`` is (out, in, kh, kw); its first row and column land on (`top`, `left`), which may
    be negative: what falls outside the new window is cut off.
    """
    kh, kw = weight.shape[2:]
    return torch.nn.functional.pad(weight, (left, width - kw - left, top, height - kh - top))


def spread_kernel(weight: Tensor, window: int, stride: int) -> Tensor:
    """The kernel of a convolution followed by average pooling (exact away from borders).

    Sums the kernel at every position of the pooling window: a (out, in, k, k) kernel at `stride`
    becomes one of size ``k + (window - 1) * stride``.
    """
    size = weight.shape[2] + (window - 1) * stride
    shifted = [
        embed_kernel(weight, size, size, row * stride, column * stride)
        for row in range(window)
        for column in range(window)
    ]
    return torch.stack(shifted).mean(dim=0)


def ridge(features: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Least squares with intercept: ``targets ~ features @ weight.T + bias``.

    Parameters
    ----------
    features : (samples, inputs)
    targets : (samples, outputs)
    penalty : ridge, relative to the mean variance of the features

    Returns
    -------
    weight : (outputs, inputs); bias : (outputs,)
    """
    mean_in, mean_out = features.mean(dim=0), targets.mean(dim=0)
    centred = features - mean_in
    gram = (centred.T @ centred).double()
    gram.diagonal().add_(penalty * gram.diagonal().mean() + 1e-12)
    moments = (centred.T @ (targets - mean_out)).double()
    weight = torch.cholesky_solve(moments, torch.linalg.cholesky(gram)).T.float()
    return weight, mean_out - weight @ mean_in
