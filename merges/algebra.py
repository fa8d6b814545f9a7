"""Tensors in, tensors out: the arithmetic of merging. Nothing here knows a graph."""

import torch
from torch import Tensor

_EXACT_SVD = 1024
_CP_SWEEPS = 6


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


def dense_kernel(weight: Tensor, groups: int) -> Tensor:
    """The ungrouped kernel of a grouped one: (out, in / groups, kh, kw) -> (out, in, kh, kw)."""
    maps, channels = weight.shape[0] // groups, weight.shape[1]
    dense = weight.new_zeros(weight.shape[0], channels * groups, *weight.shape[2:])
    for group in range(groups):
        rows, columns = (
            slice(group * maps, (group + 1) * maps),
            slice(group * channels, (group + 1) * channels),
        )
        dense[rows, columns] = weight[rows]
    return dense


def compose_kernels(
    first: Tensor, second: Tensor, stride: tuple[int, int], groups: tuple[int, int]
) -> Tensor:
    """The ungrouped kernel of two convolutions with nothing between, the first of them at `stride`.

    ``first`` is (middle, in / groups[0], k1, k1), ``second`` (out, middle / groups[1], k2, k2); the result is
    (out, in, K, K) with ``K = k1 + (k2 - 1) stride``: tap ``q`` of the second sees tap ``t`` of the first at
    ``q stride + t``, which is a transposed convolution of the kernels.
    """
    if groups[1] == len(first) == len(second):  # depthwise: map by map, as its dense kernel may be huge
        dense = dense_kernel(first, groups[0])
        flat = torch.nn.functional.conv_transpose2d(
            second.transpose(0, 1), dense, stride=stride, groups=groups[1]
        )
        return flat.reshape(*dense.shape[:2], *flat.shape[2:])
    outer, inner = dense_kernel(second, groups[1]), dense_kernel(first, groups[0])
    (height, width), (rows, columns) = inner.shape[2:], outer.shape[2:]
    sizes = height + (rows - 1) * stride[0], width + (columns - 1) * stride[1]
    whole = outer.new_zeros(len(outer), inner.shape[1], *sizes)
    for row in range(rows):  # products of matrices, which run at full speed for any kernel
        for column in range(columns):
            top, left = row * stride[0], column * stride[1]
            tap = torch.tensordot(outer[:, :, row, column], inner, dims=1)
            whole[:, :, top : top + height, left : left + width] += tap
    return whole


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


def tucker2(weight: Tensor, rank_out: int, rank_in: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tucker-2 of a kernel by truncated higher-order SVD (Kim et al. 2016, section 3.1).

    Parameters
    ----------
    weight : (out, in, kh, kw)

    Returns
    -------
    left : (out, rank_out); core : (rank_out, rank_in, kh, kw); right : (rank_in, in), so that
        ``weight ~ left @ core @ right`` over channels; nothing is lost at full rank
    """
    left, right = (
        torch.linalg.eigh(side @ side.T)[1].flip(1)[:, :rank]  # left singular vectors, the largest first
        for side, rank in ((weight.flatten(1), rank_out), (weight.transpose(0, 1).flatten(1), rank_in))
    )
    return left, torch.einsum("oikl,or,is->rskl", weight, left, right), right.T.contiguous()


def cp(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """CP decomposition of a kernel into `rank` components (Lebedev et al. 2015).

    Starts from the strongest singular pairs of all taps (a tap's pair is a component that sees that tap
    alone), then improves one factor after another by least squares: 10 to 20 % of what is lost at first.

    Parameters
    ----------
    weight : (out, in, kh, kw)

    Returns
    -------
    left : (out, rank); taps : (rank, kh, kw); right : (rank, in), so that
        ``weight ~ sum over r of left[:, r] right[r] taps[r]``
    """
    whole = weight.flatten(2)
    sides, values, others = torch.linalg.svd(whole.permute(2, 0, 1), full_matrices=False)
    strongest = values.flatten().topk(min(rank, values.numel())).indices
    tap, place = strongest // values.shape[1], strongest % values.shape[1]
    left = sides[tap, :, place].T * values.flatten()[strongest]
    right = others[tap, place, :].T
    middle = torch.eye(whole.shape[2], dtype=weight.dtype, device=weight.device)[:, tap]
    for _ in range(0 if weight.is_meta else _CP_SWEEPS):  # an outline has sizes alone
        left = _solved(torch.einsum("oit,ir,tr->or", whole, right, middle), right, middle)
        right = _solved(torch.einsum("oit,or,tr->ir", whole, left, middle), left, middle)
        middle = _solved(torch.einsum("oit,or,ir->tr", whole, left, right), left, right)
    return left, middle.T.reshape(-1, *weight.shape[2:]).contiguous(), right.T.contiguous()


def _solved(moments: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The factor that fits best beside two others, from the kernel's products with them."""
    gram = (one.T @ one) * (other.T @ other)
    ridge = 1e-4 * gram.diagonal().mean() + 1e-12  # components may become alike
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge * eye, moments.T).T


def truncated_svd(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best (out, rank) @ (rank, in) for a matrix (out, in) (Eckart and Young 1936).

    Large matrices take the randomised method of Halko et al. (2009), which is close and much quicker.
    """
    if min(weight.shape) <= _EXACT_SVD:
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        right = right.T
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(weight, rank)
    root = values[:rank].sqrt()
    return left[:, :rank] * root, (right[:, :rank] * root).T.contiguous()
