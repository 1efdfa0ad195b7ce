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
