"""The losses: contrastive (Eq. 4) and the divergences between the two sides' concept activations (Eq. 6).

All functions are plain, differentiable, and take float32 or float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import torch
from torch import Tensor


def contrastive_loss(logits: Tensor, *, left_out: Tensor | None = None, symmetric: bool = False) -> Tensor:
    """Cross-entropy of every photo's own place among all places (Eq. 4), averaged over the photos.

    Args:
        logits: Scores over temperature, shape (n, m): the first n places are those of the n photos, in order,
            the other m - n are further negatives.
        left_out: True where a place is no negative of a photo (another photo of the same spot), shape (n, m).
            A photo's own place always counts.
        symmetric: Average it with the same loss from each of the n places to the n photos.

    Returns:
        A scalar.
    """
    count = len(logits)
    own = torch.arange(count, device=logits.device)
    if left_out is not None:
        keep_own = left_out.clone()
        keep_own[own, own] = False
        logits = logits.masked_fill(keep_own, -math.inf)
    loss = torch.nn.functional.cross_entropy(logits, own)
    if symmetric:
        loss = (loss + torch.nn.functional.cross_entropy(logits[:, :count].T, own)) / 2
    return loss


def mean_match(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Eq. 6 of arXiv 2509.01910 as printed, with the logarithm inside the average.

    The pairwise terms cancel down to |mean(x) - mean(y)|^2 / sigma^2, which is what is computed.

    Args:
        x: Concept activations of images, shape (n, k).
        y: Concept activations of places, shape (m, k).
        sigma: Bandwidth.
    """
    difference = x.mean(dim=0) - y.mean(dim=0)
    return difference.square().sum() / sigma**2


def cauchy_schwarz(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Cauchy-Schwarz divergence between two samples (Yin et al. 2025, arXiv 2502.17028).

    log mean K(x, x') + log mean K(y, y') - 2 log mean K(x, y), at least 0. Arguments as in `mean_match`.
    """
    return _log_mean(x, x, sigma) + _log_mean(y, y, sigma) - 2 * _log_mean(x, y, sigma)


def mmd(x: Tensor, y: Tensor, *, sigma: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, biased estimate, at least 0. Arguments as in `mean_match`."""

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        return _log_kernel(a, b, sigma).exp().mean()

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


DIVERGENCES: MappingProxyType[str, Callable[..., Tensor]] = MappingProxyType(
    {"mean": mean_match, "cauchy-schwarz": cauchy_schwarz, "mmd": mmd}
)
"""Divergences by the name they have in `TrainConfig.divergence`."""


def median_distance(x: Tensor, y: Tensor) -> Tensor:
    """Median heuristic for the bandwidth: the median distance between different points of both samples.

    No gradient flows through it.
    """
    points = torch.cat((x, y)).detach()
    rows, columns = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    distances = _squared_distances(points, points)[rows, columns].sqrt()
    return distances.median().clamp_min(1e-6)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i - y_j|^2, shape (n, m), never negative and with a gradient everywhere."""
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)[None, :] - 2 * x @ y.T
    return squares.clamp_min(0.0)


def _log_kernel(x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
    """Return the logarithm of the Gaussian kernel (Eq. 5), shape (n, m)."""
    return -_squared_distances(x, y) / (2 * sigma**2)


def _log_mean(x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
    kernel = _log_kernel(x, y, sigma)
    return torch.logsumexp(kernel.flatten(), dim=0) - math.log(kernel.numel())
