"""What an evaluation found: frozen records with `to_dict` for the stable JSON form."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from whyhere.evaluation._calibration import Calibration
from whyhere.evaluation._groups import Group
from whyhere.evaluation._kinds import KindFigures
from whyhere.stats import Interval
from whyhere.tables import Problem


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """One photo of an evaluation.

    Attributes:
        photo: Name of the photo in the benchmark.
        lat: True latitude in degrees.
        lon: True longitude in degrees.
        answer_lat: Latitude of the first answer, or None where there is no answer.
        answer_lon: Longitude of the first answer, or None.
        error_km: Great-circle distance between the two; infinite without an answer.
        best_km: Least distance of the first five answers.
        geoscore: 0 to 5000.
        probability: Of the first answer, or None.
        confidence: Of the first answer, 1 to 5, or None.
        right: Whether the truth lies within the radius of the first answer.
        true_country: ISO code, or None on the open sea.
        said_country: ISO code of the first answer, or None.
        country_right: Whether they agree; None where there is no truth.
        region_right: Whether the first-level unit is right; None where there is no truth.
        city_right: Whether the city is right; None where there is no truth.
        leaked: Whether the gallery holds the true position; None where no gallery was checked.
        seconds: Wall-clock time, or None.
        kind: Kind of the photo, or None where nobody says.
        precision_km: How far the photo may lie from the true position: it counts at larger distances only.
    """

    photo: str
    lat: float
    lon: float
    answer_lat: float | None
    answer_lon: float | None
    error_km: float
    best_km: float
    geoscore: float
    probability: float | None
    confidence: float | None
    right: bool
    true_country: str | None
    said_country: str | None
    country_right: bool | None
    region_right: bool | None
    city_right: bool | None
    leaked: bool | None
    seconds: float | None
    kind: str | None = None
    precision_km: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary; infinite distances are None."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain


@dataclass(frozen=True, slots=True)
class NameFigure:
    """How often a name is right.

    Attributes:
        photos: Photos with a true name.
        from_table: How many of the truths the table gave; the others are GeoNames' for the true position.
        right: Percentage of `photos`; None where there is no photo with a truth.
    """

    photos: int
    from_table: int
    right: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {
            "photos": self.photos,
            "from_table": self.from_table,
            "right": self.right.to_dict() if self.right else None,
        }


@dataclass(frozen=True, slots=True)
class Leakage:
    """Photos whose true position the gallery holds.

    Attributes:
        gallery: Positions that can be answered.
        leaked: Photos whose position is among them, to 25 m or 1e-4 degrees.
        without: Accuracy on the other photos, as `Evaluation.accuracy`; empty where none is left.
    """

    gallery: int
    leaked: int
    without: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain dictionaries."""
        return {
            "gallery": self.gallery,
            "leaked": self.leaked,
            "without": {name: figure.to_dict() for name, figure in self.without.items()},
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a system's answers are on one benchmark.

    Distances are great-circle distances in km on a sphere of radius 6371.0088 km.

    Attributes:
        system: Name of the system.
        benchmark: What the benchmark is, as `Benchmark.to_dict`.
        photos: Photos scored; those without an answer count as wrong.
        answered: Photos with a position.
        accuracy: Percentage within "1 km", "25 km", "200 km", "750 km" and "2500 km"; "median km";
            "mean km" (of the answered photos); "GeoScore" (mean of 5000 exp(-km / 1492.7)). Percentages count
            the photos whose position is known better than the distance (`precision_km`).
        best_of_five: Percentages within the same distances for the best of the first five answers; None where
            no photo has more than one.
        names: For "country", "region" and "city".
        continents: Figures by true continent.
        countries: Figures by true country.
        calibration: Probabilities, confidences and abstaining.
        leakage: None where no gallery was checked.
        seconds_per_photo: Mean wall-clock time, or None where no prediction states one.
        kinds: Figures by kind of photo; street level, and all but street level, first.
        resamples: Bootstrap sets behind every interval.
        problems: Everything that was left out, of the table, the photos and the predictions.
        scores: Every photo.
    """

    system: str
    benchmark: dict[str, Any]
    photos: int
    answered: int
    accuracy: dict[str, Interval]
    best_of_five: dict[str, Interval] | None
    names: dict[str, NameFigure]
    continents: tuple[Group, ...]
    countries: tuple[Group, ...]
    calibration: Calibration
    leakage: Leakage | None
    seconds_per_photo: float | None
    kinds: tuple[KindFigures, ...]
    resamples: int
    problems: tuple[Problem, ...] = field(repr=False)
    scores: tuple[PhotoScore, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the single photos in JSON types; what is not finite is None."""
        best = self.best_of_five
        plain: dict[str, Any] = finite(
            {
                "system": self.system,
                "benchmark": self.benchmark,
                "photos": self.photos,
                "answered": self.answered,
                "accuracy": {name: figure.to_dict() for name, figure in self.accuracy.items()},
                "best_of_five": best and {name: figure.to_dict() for name, figure in best.items()},
                "names": {name: figure.to_dict() for name, figure in self.names.items()},
                "continents": [group.to_dict() for group in self.continents],
                "countries": [group.to_dict() for group in self.countries],
                "calibration": self.calibration.to_dict(),
                "leakage": self.leakage.to_dict() if self.leakage else None,
                "seconds_per_photo": self.seconds_per_photo,
                "kinds": [kind.to_dict() for kind in self.kinds],
                "bootstrap": {"resamples": self.resamples, "interval": 0.95},
                "distance": "great circle, sphere of radius 6371.0088 km",
                "problems": {
                    "counts": dict(Counter(problem.kind for problem in self.problems)),
                    "list": [problem.to_dict() for problem in self.problems],
                },
            }
        )
        return plain


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Replace numbers that JSON cannot hold by None, all the way down; tuples become lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
