"""From a text hint to a prior over the gallery: a nudge of stated size, never a verdict.

A hint is what the asker believes ("beach", "snow"), not what the photo shows. It enters as an additive log
prior beside the photo's own scores, and it is bounded: however well a place fits the text and however badly
another does, the hint alone changes the odds between the two by no more than its strength.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.stats import mean_ranks

HINT_STRENGTH = 10.0
"""Largest factor by which a hint changes the odds between two places, unless asked otherwise."""


def hint_log_prior(cosines: NDArray[np.floating], *, strength: float = HINT_STRENGTH) -> NDArray[np.float64]:
    """Turn how well every place fits a text into a bounded log prior.

    Only the order of the cosines counts, because their size differs from text to text and means nothing by
    itself: with r the rank of a place, 0 for the worst fit and 1 for the best (places of equal cosine share
    their mean rank), the log prior is log(strength) * r^2. The square spends the nudge where a hint speaks,
    among the places that fit well: the median place gets strength^(1/4) times the worst one's odds, the best
    strength^(3/4) times the median's. The default of 10 was set beforehand, not fitted to any photos.

    What takes it: `cell_probabilities(..., log_prior=...)`, which multiplies the probability of every point
    by exp(log prior) and normalises again, the part that is spread by area included. The odds between two
    places therefore change by at most `strength`, also where the photo tells nothing.

    Args:
        cosines: How well every gallery point fits the text, as `Alignment.location_cosines` gives it for
            `location_direction` of a text, shape (n,).
        strength: Largest factor on the odds between two places, 1 (no effect) or more.

    Returns:
        Log prior of every point, from 0 to log(strength), float64, shape (n,); rises with the cosine.

    Raises:
        UsageError: The strength is below 1 or not finite.
        ValueError: There is no cosine, or one is not finite.

    >>> np.exp(hint_log_prior(np.array([0.1, 0.3, 0.2]), strength=16.0)).round(3).tolist()
    [1.0, 16.0, 2.0]
    """
    if not (math.isfinite(strength) and strength >= 1):
        raise UsageError(f"the strength of a hint is a factor on odds of 1 or more, not {strength}")
    if cosines.size == 0 or not np.isfinite(cosines).all():
        raise ValueError("a hint needs one finite cosine for every gallery point")
    share = (mean_ranks(cosines) - 1) / max(len(cosines) - 1, 1)
    log_prior: NDArray[np.float64] = math.log(strength) * share**2
    return log_prior
