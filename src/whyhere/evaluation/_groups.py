"""Figures by continent and country: where a system is right, and where it answers too often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation._accuracy import THRESHOLDS_KM
from whyhere.geo import countries
from whyhere.stats import Interval, interval, resample

SEA = "open sea"


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of the photos of one continent or country.

    Attributes:
        name: English name, or "open sea".
        code: ISO alpha-2 code of a country, else None.
        photos: Photos taken there; 0 where it was only answered, and its figures are then NaN.
        answered_here: First answers that lie there, or name it, wherever the photo was taken. More than
            `photos` means that the system answers it too often.
        within: Percentage of its photos within each distance ("1 km" ... "2500 km"). With the bootstrap
            interval for continents; a country's interval is its figure alone (low and high are NaN).
        median_km: Median error in km; infinite where most photos are unanswered.
        geoscore: Mean GeoScore, 0 to 5000.
        country_right: Percentage with the right country.
    """

    name: str
    code: str | None
    photos: int
    answered_here: int
    within: dict[str, Interval]
    median_km: float
    geoscore: float
    country_right: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain dictionaries."""
        return {
            "name": self.name,
            "code": self.code,
            "photos": self.photos,
            "answered_here": self.answered_here,
            "within": {name: figure.to_dict() for name, figure in self.within.items()},
            "median_km": self.median_km,
            "geoscore": self.geoscore,
            "country_right": self.country_right,
        }


def group_figures(
    *,
    true_country: Sequence[str | None],
    said_country: Sequence[str | None],
    error_km: NDArray[np.float64],
    precision_km: NDArray[np.float64],
    points: NDArray[np.float64],
    seed: int = 0,
) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Break figures down.

    Args:
        true_country: ISO code of each photo's country, None on the open sea.
        said_country: ISO code of each first answer's country, None on the open sea or without an answer.
        error_km: Distance from the first answer to the truth, infinite without an answer, shape (n,).
        precision_km: How far photos may lie from the truth: they count at distances above it, shape (n,).
        points: GeoScore of each photo, shape (n,).
        seed: Seed of the bootstrap.

    Returns:
        Continents and countries, each with the most photos first.
    """
    right = np.array([t is not None and t == s for t, s in zip(true_country, said_country, strict=True)])
    return tuple(  # type: ignore[return-value]  # two of them
        _level(
            [_key(code, level) for code in true_country],
            Counter(_key(code, level) for code in said_country if code is not None),
            level,
            error_km,
            precision_km,
            points,
            right,
            seed,
        )
        for level in ("continent", "country")
    )


def _key(code: str | None, level: str) -> str:
    if code is None:
        return SEA
    return countries()[code].continent if level == "continent" else code


def _level(
    keys: Sequence[str],
    said: Counter[str],
    level: str,
    error_km: NDArray[np.float64],
    precision_km: NDArray[np.float64],
    points: NDArray[np.float64],
    right: NDArray[np.bool_],
    seed: int,
) -> tuple[Group, ...]:
    counts = Counter(keys)
    names = sorted({*counts, *said}, key=lambda key: (-counts[key], -said[key], key))
    member = {name: np.array([key == name for key in keys]) for name in names}
    counted = [precision_km < threshold for threshold in THRESHOLDS_KM]
    hits = [(error_km <= threshold).astype(np.float64) for threshold in THRESHOLDS_KM]
    draws = None
    if level == "continent":
        ratios = [
            (100.0 * hit * (member[name] & known), (member[name] & known).astype(np.float64))
            for name in names
            for hit, known in zip(hits, counted, strict=True)
        ]
        draws, _ = resample(len(keys), ratios, seed=seed)
    groups = []
    for row, name in enumerate(names):
        mine = member[name]
        within = {}
        for column, (threshold, hit) in enumerate(zip(THRESHOLDS_KM, hits, strict=True)):
            value = 100.0 * _mean(hit[mine & counted[column]])
            within[f"{threshold:g} km"] = (
                Interval(value, float("nan"), float("nan"))
                if draws is None
                else interval(value, draws[:, row * len(hits) + column])
            )
        is_country = level == "country" and name != SEA
        groups.append(
            Group(
                countries()[name].name if is_country else name,
                name if is_country else None,
                counts[name],
                said[name],
                within,
                float(np.median(error_km[mine])) if mine.any() else float("nan"),
                _mean(points[mine]),
                100.0 * _mean(right[mine].astype(np.float64)),
            )
        )
    return tuple(groups)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
