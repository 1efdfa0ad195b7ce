"""How well probabilities fit the truth: what the temperature of a release is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import unit_vectors, vector_distance_km
from whyhere.ranking import CellIndex, cell_probabilities

KERNEL_KM = 100.0
"""Scale of the kernel that spreads a cell's probability: the truth may lie where the gallery has no point."""


def negative_log_densities(
    scores: NDArray[np.float32],
    index: CellIndex,
    lat: float,
    lon: float,
    *,
    temperatures: Sequence[float],
) -> NDArray[np.float64]:
    """Score one photo's probability surface at the place where it was taken, for many temperatures.

    Args:
        scores: Scores of the gallery points, from a head that never saw the photo, shape (n,).
        index: The cells of the points.
        lat: True latitude in degrees.
        lon: True longitude in degrees.
        temperatures: Temperatures to try, t of them.

    Returns:
        -log of the probability density per km2 at the truth, under an exponential kernel of `KERNEL_KM`
        around the points of each cell, shape (t,). Lower is better; it is a proper score.
    """
    distances_km = vector_distance_km(index.centres(), unit_vectors(lat, lon))
    kernel = np.exp(-distances_km / KERNEL_KM) / (2 * np.pi * KERNEL_KM**2)
    densities = [
        cell_probabilities(scores, index, temperature=temperature) @ kernel for temperature in temperatures
    ]
    return -np.log(np.maximum(densities, 1e-300))
