"""Non-negative sparse coding of an embedding over concept directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sparse_code(
    embedding: NDArray[np.float32],
    directions: NDArray[np.float32],
    *,
    penalty: float | NDArray[np.float32],
    steps: int = 500,
) -> NDArray[np.float32]:
    """Write an embedding as a sparse non-negative sum of concept directions.

    Minimises |x - E z|^2 / 2 + sum(penalty * z) over z >= 0, as SpLiCE does for CLIP (Bhalla et al. 2024,
    arXiv 2402.10376), by FISTA (Beck and Teboulle 2009) with a fixed number of steps, so that the result
    depends on nothing but its arguments.

    Args:
        embedding: x, shape (d,).
        directions: E, one direction a column, shape (d, k).
        penalty: Weight of the l1 norm, one number or one a concept, shape (k,); larger ones name fewer.
        steps: Number of FISTA steps.

    Returns:
        z, float32, shape (k,), no entry negative.
    """
    e = directions.astype(np.float64)
    gram, target = e.T @ e, e.T @ embedding.astype(np.float64) - penalty
    step = 1.0 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    z = momentum = np.zeros(e.shape[1])
    t = 1.0
    for _ in range(steps):
        following = np.maximum(momentum + step * (target - gram @ momentum), 0.0)
        t_following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = following + (t - 1) / t_following * (following - z)
        z, t = following, t_following
    return z.astype(np.float32)


def sparse_codes(
    embeddings: NDArray[np.float32],
    patterns: NDArray[np.float32],
    *,
    penalty: float,
    most: int,
    steps: int = 100,
) -> NDArray[np.float32]:
    """Write many embeddings as sparse non-negative sums of patterns: `sparse_code`, all at once, in float32.

    Args:
        embeddings: Shape (n, d).
        patterns: Unit patterns, one a column, shape (d, k).
        penalty: Weight of the l1 norm.
        most: Entries that each code keeps, the largest; the others become 0.
        steps: Number of FISTA steps.

    Returns:
        Codes, float32, shape (n, k), no entry negative. A code does not depend on the others beyond the
        rounding of float32.
    """
    e = patterns.astype(np.float32)
    gram, targets = e.T @ e, embeddings.astype(np.float32) @ e - np.float32(penalty)
    step = np.float32(1.0 / max(float(np.linalg.eigvalsh(gram.astype(np.float64))[-1]), 1e-12))
    z = momentum = np.zeros_like(targets)
    t = 1.0
    for _ in range(steps):
        following = np.maximum(momentum + step * (targets - momentum @ gram), np.float32(0))
        t_following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = following + np.float32((t - 1) / t_following) * (following - z)
        z, t = following, t_following
    if most < z.shape[1]:
        order = np.argsort(-z, axis=1, kind="stable")
        np.put_along_axis(z, order[:, most:], np.float32(0), axis=1)
    return z
