"""GeoCLIP's own probabilities: a softmax over the points of the gallery, each point by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gallery_softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities that the `geoclip` package reports for the points of its gallery.

    They say how the points compare, not how probable a place on Earth is: dense parts of the gallery count
    by their points. `cell_probabilities` corrects that; this is here to compare with GeoCLIP.

    Args:
        scores: Scores of the points as `Alignment.scores` gives them, shape (n,).

    Returns:
        Probabilities, float64, shape (n,), summing to 1.

    >>> gallery_softmax(np.array([0.0, np.log(3)], np.float32)).round(6).tolist()
    [0.25, 0.75]
    """
    logits = scores.astype(np.float64)
    weights = np.exp(logits - logits.max())
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities
