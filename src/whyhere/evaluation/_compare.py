"""Two systems on the same photos: differences with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.evaluation._accuracy import THRESHOLDS_KM
from whyhere.evaluation._evaluation import Evaluation, PhotoScore, finite
from whyhere.evaluation._kinds import kind_groups
from whyhere.evaluation._protocol import Protocol
from whyhere.evaluation._score import geoscore
from whyhere.stats import Interval, interval, resample, resamples_for

EQUAL_KM = 1e-6
"""Errors that differ by less are the same answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two systems.

    Attributes:
        first: The first system's figure.
        second: The second system's figure.
        difference: First minus second with its paired bootstrap interval.
    """

    first: float
    second: float
    difference: Interval

    @property
    def resolved(self) -> bool:
        """Whether the interval leaves out zero: the photos can tell the two apart."""
        return self.difference.low > 0 or self.difference.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain dictionaries, with `resolved`."""
        return {
            "first": self.first,
            "second": self.second,
            "difference": self.difference.to_dict(),
            "resolved": self.resolved,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the photos that both were scored on.

    Attributes:
        first: Name of the first system.
        second: Name of the second system.
        photos: Photos they share.
        figures: Percentages within the distances, "median km", "mean km" (photos that both answered),
            "GeoScore" and "country".
        closer: Photos on which the first is nearer to the truth.
        equal: Photos on which both are equally near, or neither answers.
        farther: Photos on which the second is nearer.
        answered_by_both: Photos that both answered with a position, which "mean km" counts.
        resamples: Bootstrap sets.
        kinds: The same by kind of photo; street level, and all but street level, first.
    """

    first: str
    second: str
    photos: int
    figures: dict[str, Difference]
    closer: int
    equal: int
    farther: int
    answered_by_both: int
    resamples: int
    kinds: dict[str, Comparison] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in JSON types; what is not finite is None."""
        plain: dict[str, Any] = finite(
            {
                "first": self.first,
                "second": self.second,
                "photos": self.photos,
                "figures": {name: figure.to_dict() for name, figure in self.figures.items()},
                "closer": self.closer,
                "equal": self.equal,
                "farther": self.farther,
                "answered_by_both": self.answered_by_both,
                "bootstrap": {"resamples": self.resamples, "interval": 0.95, "paired": True},
                "kinds": {name: comparison.to_dict() for name, comparison in self.kinds.items()},
            }
        )
        return plain


def compare(first: Evaluation, second: Evaluation, *, seed: int = 0) -> Comparison:
    """Compare two systems on the photos they share.

    Both figures are taken on the same resampled sets of photos, so that easy and hard sets do not blur the
    difference: it is far better known than either figure.

    Args:
        first: One evaluation.
        second: The other, on the same benchmark.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: They share no photo.
    """
    others = {score.photo: score for score in second.scores}
    pairs = [(score, others[score.photo]) for score in first.scores if score.photo in others]
    if not pairs:
        raise UsageError(f"{first.system} and {second.system} share no photo, so they cannot be compared")
    names = first.system, second.system
    protocol = first.benchmark.get("protocol") or {}
    street = protocol.get("street_kinds", Protocol().street_kinds)
    kinds = {
        name: _compared(names, [pairs[row] for row in np.flatnonzero(members)], seed)
        for name, members in kind_groups([pair[0].kind for pair in pairs], street)
    }
    return replace(_compared(names, pairs, seed), kinds=kinds)


def _compared(
    names: tuple[str, str], pairs: Sequence[tuple[PhotoScore, PhotoScore]], seed: int
) -> Comparison:
    a_km, b_km = (np.array([pair[side].error_km for pair in pairs]) for side in (0, 1))
    ones = np.ones(len(pairs))
    both = np.isfinite(a_km) & np.isfinite(b_km)
    precision_km = np.array([pair[0].precision_km for pair in pairs])
    columns: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {}
    for threshold in THRESHOLDS_KM:
        counted = (precision_km < threshold).astype(np.float64)
        hits = [np.where(km <= threshold, 100.0, 0.0) * counted for km in (a_km, b_km)]
        columns[f"{threshold:g} km"] = hits[0], hits[1], counted
    columns["mean km"] = (np.where(both, a_km, 0.0), np.where(both, b_km, 0.0), both.astype(np.float64))
    columns["GeoScore"] = (geoscore(a_km), geoscore(b_km), ones)
    known = np.array([float(pair[0].country_right is not None) for pair in pairs])
    hits = [np.array([100.0 * bool(pair[side].country_right) for pair in pairs]) for side in (0, 1)]
    columns["country"] = (hits[0] * known, hits[1] * known, known)

    ratios = [ratio for a, b, below in columns.values() for ratio in ((a, below), (b, below))]
    draws, medians = resample(len(pairs), ratios, [a_km, b_km], seed=seed)
    figures = {}
    for row, (name, (a, b, below)) in enumerate(columns.items()):
        if not below.any():
            continue
        values = [float(side.sum() / below.sum()) for side in (a, b)]
        gap = interval(values[0] - values[1], draws[:, 2 * row] - draws[:, 2 * row + 1])
        figures[name] = Difference(values[0], values[1], gap)
    middle = [float(np.median(a_km)), float(np.median(b_km))]
    with np.errstate(invalid="ignore"):  # neither answers half of a set: no difference to speak of
        gap = interval(float(np.float64(middle[0]) - np.float64(middle[1])), medians[:, 0] - medians[:, 1])
    figures["median km"] = Difference(middle[0], middle[1], gap)
    order = [
        *(f"{threshold:g} km" for threshold in THRESHOLDS_KM),
        "median km",
        "mean km",
        "GeoScore",
        "country",
    ]
    with np.errstate(invalid="ignore"):
        equal = (np.abs(a_km - b_km) <= EQUAL_KM) | (np.isinf(a_km) & np.isinf(b_km))
    return Comparison(
        *names,
        len(pairs),
        {name: figures[name] for name in order if name in figures},
        int(((a_km < b_km) & ~equal).sum()),
        int(equal.sum()),
        int(((a_km > b_km) & ~equal).sum()),
        int(both.sum()),
        resamples_for(len(pairs)),
    )
