"""How well printed answers forecast the truth: what the temperature of `base` is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.ranking import RankedPlace


def forecast_loss(places: Sequence[RankedPlace], distances_km: NDArray[np.float64]) -> float:
    """Score answers as a forecast: the truth is within the radius of answer 1, 2, ... or elsewhere.

    The logarithmic score is proper: in expectation it is least when the probabilities are right.

    Args:
        places: The answers, the most probable first.
        distances_km: Distance from each answer to the truth, shape (len(places),).

    Returns:
        -log of the probability given to what happened.
    """
    probabilities = [place.probability for place in places]
    for place, km in zip(places, distances_km, strict=True):
        if km <= place.radius_km:
            return -float(np.log(max(place.probability, 1e-12)))
    return -float(np.log(max(1.0 - sum(probabilities), 1e-12)))
