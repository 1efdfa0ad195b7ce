"""Scoring: predictions of any system and a benchmark in, an `Evaluation` out; two make a `Comparison`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from msgspec import field
from msgspec.structs import replace

from whyhere._record import Record
from whyhere.errors import UsageError
from whyhere.evaluation._benchmark import Benchmark, leaked_queries
from whyhere.evaluation._calibration import Calibration, calibrate
from whyhere.evaluation._metrics import (
    DISTANCES,
    Group,
    KindFigures,
    NameFigure,
    accuracy_figures,
    compare_names,
    geoscore,
    group_figures,
    hits_within,
    kind_groups,
    shares_within,
)
from whyhere.evaluation._predictions import Guess, SystemPrediction, system_prediction
from whyhere.evaluation._protocol import Protocol
from whyhere.geo import great_circle_km
from whyhere.prediction import Prediction
from whyhere.stats import Doubles, Interval, interval, resample, resamples_for, share
from whyhere.tables import NameIndex, Problem, Query

DEFAULT_RADIUS_KM = 200.0
BEST_OF = 5

EQUAL_KM = 1e-6
"""Errors that differ by less are the same answer."""


class PhotoScore(Record, frozen=True):
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
        return finite(super().to_dict())


class Leakage(Record, frozen=True):
    """Photos whose true position the gallery holds.

    Attributes:
        gallery: Positions that can be answered.
        leaked: Photos whose position is among them, to 25 m or 1e-4 degrees.
        without: Accuracy on the other photos, as `Evaluation.accuracy`; empty where none is left.
    """

    gallery: int
    leaked: int
    without: dict[str, Interval]


class Evaluation(Record, frozen=True):
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
    problems: tuple[Problem, ...]
    scores: tuple[PhotoScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the single photos in JSON types; what is not finite is None."""
        shown = [name for name in self.__struct_fields__ if name not in ("resamples", "problems", "scores")]
        return finite(
            {
                **self.pick(*shown),
                "bootstrap": {"resamples": self.resamples, "interval": 0.95},
                "distance": "great circle, sphere of radius 6371.0088 km",
                "problems": {
                    "counts": dict(Counter(problem.kind for problem in self.problems)),
                    "list": [problem.to_dict() for problem in self.problems],
                },
            }
        )


def finite(value: dict[str, Any]) -> dict[str, Any]:
    """Replace numbers that JSON cannot hold by None, all the way down; tuples become lists."""

    def converted(item: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(item, float):
            return item if math.isfinite(item) else None
        if isinstance(item, dict):
            return finite(item)
        return [converted(one) for one in item] if isinstance(item, (list, tuple)) else item

    return {key: converted(item) for key, item in value.items()}


def score(
    predictions: Iterable[SystemPrediction | Prediction],
    benchmark: Benchmark,
    *,
    system: str | None = None,
    radius_km: float = DEFAULT_RADIUS_KM,
    gallery: tuple[Doubles, Doubles] | None = None,
    problems: Iterable[Problem] = (),
    seed: int = 0,
) -> Evaluation:
    """Score a system.

    Every photo of the benchmark counts: one without an answer is wrong at every distance, has GeoScore 0 and
    an infinite error in the median, so that a system gains nothing by keeping quiet about hard photos. Only
    the mean error leaves it out.

    Args:
        predictions: What the system said, in any order. Photos are matched to the benchmark's by path, else
            by file name, else by file name without its suffix.
        benchmark: The photos and their truth.
        system: Name of the system; the predictions' by default.
        radius_km: Radius within which an answer that states no radius of its own counts as right, for
            calibration.
        gallery: Latitudes and longitudes that the system can answer, or was trained on, to look for leakage.
        problems: What went wrong before, to be kept with the evaluation.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: There is no photo to score, or no prediction is for any of them.
    """
    queries = benchmark.queries
    if not queries:
        raise UsageError(f"{benchmark.name}: there is no photo to score")
    if not 0 < radius_km <= 20_100:
        raise UsageError(f"radius_km must lie between 0 and 20100 km, not {radius_km}")
    found, systems, complaints = _matched(predictions, queries)
    if not found:
        raise UsageError(
            f"{benchmark.name}: no prediction is for any of its {len(queries)} photos; it calls the first "
            f"{queries[0].photo!r}" + (f", the predictions {complaints[0].photo!r}" if complaints else "")
        )
    matched = [found.get(query.photo) or SystemPrediction(query.photo, ()) for query in queries]
    ranked = [
        [one.guesses[rank] if len(one.guesses) > rank else Guess() for one in matched]
        for rank in range(BEST_OF)
    ]
    firsts = ranked[0]
    lat, lon = np.array([query.lat for query in queries]), np.array([query.lon for query in queries])
    precision_km = np.array([query.precision_km for query in queries])
    errors = [_errors(lat, lon, guesses) for guesses in ranked]
    error_km, best_km = errors[0], np.min(errors, axis=0)
    radius = _stated([guess.radius_km for guess in firsts])
    right = error_km <= np.where(np.isnan(radius), radius_km, radius)
    naming = compare_names(queries, firsts)
    leaked = leakage = None
    if gallery is not None:
        leaked = leaked_queries(lat, lon, gallery_lat=gallery[0], gallery_lon=gallery[1])
        clean = ~leaked
        without = {}
        if clean.any():
            without = accuracy_figures(error_km[clean], precision_km=precision_km[clean], seed=seed)
        leakage = Leakage(len(gallery[0]), int(leaked.sum()), without)
    continents, countries = group_figures(
        true_country=naming.true_country,
        said_country=naming.said_country,
        error_km=error_km,
        precision_km=precision_km,
        seed=seed,
    )
    calibration = calibrate(
        probability=_stated([guess.probability for guess in firsts]),
        confidence=_stated([guess.confidence for guess in firsts]),
        right=right,
        error_km=error_km,
        abstained=_stated([prediction.abstained for prediction in matched]),
        radius_km=radius_km,
        stated_radius=int((~np.isnan(radius)).sum()),
        seed=seed,
    )
    seconds = [one.seconds for one in matched if one.seconds is not None]
    kinds = benchmark.kinds()
    street = (benchmark.protocol or Protocol()).street_kinds
    several = any(len(one.guesses) > 1 for one in matched)
    points = geoscore(error_km)
    return Evaluation(
        system=system or (systems.pop() if len(systems) == 1 else "unnamed system"),
        benchmark=benchmark.to_dict(),
        photos=len(queries),
        answered=int(np.isfinite(error_km).sum()),
        accuracy=accuracy_figures(error_km, precision_km=precision_km, seed=seed),
        best_of_five=shares_within(best_km, precision_km, seed) if several else None,
        names=naming.figures(seed),
        continents=continents,
        countries=countries,
        calibration=calibration,
        leakage=leakage,
        seconds_per_photo=float(np.mean(seconds)) if seconds else None,
        kinds=tuple(
            KindFigures(
                name,
                int(mine.sum()),
                accuracy_figures(error_km[mine], precision_km=precision_km[mine], seed=seed),
            )
            for name, mine in kind_groups(kinds, street).items()
        ),
        resamples=resamples_for(len(queries)),
        problems=(*benchmark.problems, *problems, *complaints),
        scores=tuple(
            PhotoScore(
                photo=query.photo,
                lat=query.lat,
                lon=query.lon,
                answer_lat=guess.lat,
                answer_lon=guess.lon,
                error_km=float(error_km[row]),
                best_km=float(best_km[row]),
                geoscore=float(points[row]),
                probability=guess.probability,
                confidence=guess.confidence,
                right=bool(right[row]),
                true_country=naming.true_country[row],
                said_country=naming.said_country[row],
                country_right=naming.right["country"][row],
                region_right=naming.right["region"][row],
                city_right=naming.right["city"][row],
                leaked=None if leaked is None else bool(leaked[row]),
                seconds=prediction.seconds,
                kind=kinds[row],
                precision_km=query.precision_km,
            )
            for row, (query, guess, prediction) in enumerate(zip(queries, firsts, matched, strict=True))
        ),
    )


def _matched(
    predictions: Iterable[SystemPrediction | Prediction], queries: Sequence[Query]
) -> tuple[dict[str, SystemPrediction], set[str], list[Problem]]:
    """Return predictions by the benchmark's names, names of systems, and predictions that found no photo."""
    index = NameIndex(query.photo for query in queries)
    found: dict[str, SystemPrediction] = {}
    systems: set[str] = set()
    problems = []
    for given in predictions:
        prediction = system_prediction(given) if isinstance(given, Prediction) else given
        photo = index.find(prediction.photo)
        if photo is None:
            reason = "the benchmark has no such photo, or several that it may mean"
            problems.append(Problem("unknown photo", None, prediction.photo, reason))
        elif photo in found:
            reason = "there is a prediction for it already; the first one counts"
            problems.append(Problem("repeated photo", None, prediction.photo, reason))
        else:
            found[photo] = prediction
            if prediction.system:
                systems.add(prediction.system)
    return found, systems, problems


def _errors(lat: Doubles, lon: Doubles, guesses: Sequence[Guess]) -> Doubles:
    """Return the distance of each guess from the truth; infinite where there is none."""
    answer_lat = _stated([guess.lat for guess in guesses])
    answer_lon = _stated([guess.lon for guess in guesses])
    km = great_circle_km(lat, lon, answer_lat, answer_lon)
    return np.where(np.isnan(km), np.inf, km)


def _stated(values: Sequence[float | None]) -> Doubles:
    return np.array([np.nan if value is None else value for value in values], np.float64)


class Difference(Record, frozen=True):
    """One figure of two systems.

    Attributes:
        first: The first system's figure.
        second: The second system's figure.
        difference: First minus second with its paired bootstrap interval.
    """

    first: float
    second: float
    difference: Interval

    json_fields = ("first", "second", "difference", "resolved")

    @property
    def resolved(self) -> bool:
        """Whether the interval leaves out zero: the photos can tell the two apart."""
        return self.difference.low > 0 or self.difference.high < 0


class Comparison(Record, frozen=True):
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
        plain = super().to_dict()
        kinds = plain.pop("kinds")
        bootstrap = {"resamples": plain.pop("resamples"), "interval": 0.95, "paired": True}
        return finite({**plain, "bootstrap": bootstrap, "kinds": kinds})


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
    street = (first.benchmark.get("protocol") or {}).get("street_kinds", Protocol().street_kinds)
    kinds = {
        name: _compared(names, [pairs[row] for row in np.flatnonzero(members)], seed)
        for name, members in kind_groups([pair[0].kind for pair in pairs], street).items()
    }
    return replace(_compared(names, pairs, seed), kinds=kinds)


def _compared(
    names: tuple[str, str], pairs: Sequence[tuple[PhotoScore, PhotoScore]], seed: int
) -> Comparison:
    a_km, b_km = (np.array([pair[side].error_km for pair in pairs]) for side in (0, 1))
    both = np.isfinite(a_km) & np.isfinite(b_km)
    precision_km = np.array([pair[0].precision_km for pair in pairs])
    known = np.array([float(pair[0].country_right is not None) for pair in pairs])
    country = [known * [100.0 * bool(pair[side].country_right) for pair in pairs] for side in (0, 1)]
    a_hits, b_hits = hits_within(a_km, precision_km), hits_within(b_km, precision_km)
    columns: dict[str, tuple[Doubles, Doubles, Doubles]] = {
        **{name: (a_hits[name][0], *b_hits[name]) for name in DISTANCES},
        "mean km": (np.where(both, a_km, 0.0), np.where(both, b_km, 0.0), both.astype(np.float64)),
        "GeoScore": (geoscore(a_km), geoscore(b_km), np.ones(len(pairs))),
        "country": (country[0], country[1], known),
    }
    ratios = [ratio for a, b, below in columns.values() for ratio in ((a, below), (b, below))]
    draws, medians = resample(len(pairs), ratios, [a_km, b_km], seed=seed)
    with np.errstate(invalid="ignore"):  # neither answers half of a set: no difference to speak of
        middle = [np.median(km) for km in (a_km, b_km)]
        gap = interval(float(middle[0] - middle[1]), medians[:, 0] - medians[:, 1])
        equal = (np.abs(a_km - b_km) <= EQUAL_KM) | (np.isinf(a_km) & np.isinf(b_km))
    figures = {"median km": Difference(float(middle[0]), float(middle[1]), gap)}
    for row, (name, (a, b, below)) in enumerate(columns.items()):
        if below.any():
            values = share(a, below), share(b, below)
            gap = interval(values[0] - values[1], draws[:, 2 * row] - draws[:, 2 * row + 1])
            figures[name] = Difference(*values, gap)
    order = [*DISTANCES, "median km", "mean km", "GeoScore", "country"]
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
