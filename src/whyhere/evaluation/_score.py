"""Scoring: predictions of any system and a benchmark in, an `Evaluation` out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.evaluation._accuracy import THRESHOLDS_KM
from whyhere.evaluation._benchmark import Benchmark
from whyhere.evaluation._calibration import calibrate
from whyhere.evaluation._evaluation import Evaluation, Leakage, NameFigure, PhotoScore
from whyhere.evaluation._groups import group_figures
from whyhere.evaluation._guesses import Guess, SystemPrediction, system_prediction
from whyhere.evaluation._kinds import KindFigures, kind_groups, kind_names, street_kinds
from whyhere.evaluation._leakage import leaked_queries
from whyhere.evaluation._naming import LEVELS, Naming, compare_names
from whyhere.geo import great_circle_km
from whyhere.prediction import Prediction
from whyhere.stats import Interval, interval, resample, resamples_for, share
from whyhere.tables import NameIndex, Problem, Query

GEOSCORE_KM = 1492.7
"""Decay of the GeoScore, from the world map of GeoGuessr (Haas et al. 2023, PIGEON)."""

DEFAULT_RADIUS_KM = 200.0
BEST_OF = 5

Array = NDArray[np.float64]


def geoscore(error_km: Array) -> Array:
    """Return 5000 exp(-d / 1492.7) for distances in km, of any shape; 0 for infinite ones.

    Example:
        >>> geoscore(np.array([0.0, np.inf])).tolist()
        [5000.0, 0.0]
    """
    points: Array = 5000.0 * np.exp(-np.asarray(error_km, np.float64) / GEOSCORE_KM)
    return points


def score(
    predictions: Iterable[SystemPrediction | Prediction],
    benchmark: Benchmark,
    *,
    system: str | None = None,
    radius_km: float = DEFAULT_RADIUS_KM,
    gallery: tuple[Array, Array] | None = None,
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
    found, names, complaints = _matched(predictions, queries)
    matched = [found.get(query.photo) for query in queries]
    if all(prediction is None for prediction in matched):
        raise UsageError(
            f"{benchmark.name}: no prediction is for any of its {len(queries)} photos; it calls the first "
            f"{queries[0].photo!r}" + (f", the predictions {complaints[0].photo!r}" if complaints else "")
        )
    firsts = [prediction.guesses[0] if prediction and prediction.guesses else None for prediction in matched]
    lat, lon = np.array([query.lat for query in queries]), np.array([query.lon for query in queries])
    precision_km = np.array([query.precision_km for query in queries])
    error_km = _errors(lat, lon, firsts)
    best_km = _best(lat, lon, matched)
    points = geoscore(error_km)
    own_radius = np.array([np.nan if g is None or g.radius_km is None else g.radius_km for g in firsts])
    right = error_km <= np.where(np.isnan(own_radius), radius_km, own_radius)
    naming = compare_names(queries, firsts)
    leaked = None
    if gallery is not None:
        leaked = leaked_queries(lat, lon, gallery_lat=gallery[0], gallery_lon=gallery[1])
    continents, countries = group_figures(
        true_country=naming.true_country,
        said_country=naming.said_country,
        error_km=error_km,
        precision_km=precision_km,
        points=points,
        seed=seed,
    )
    calibration = calibrate(
        probability=_stated([g.probability if g else None for g in firsts]),
        confidence=_stated([g.confidence if g else None for g in firsts]),
        right=right,
        error_km=error_km,
        abstained=_stated([p.abstained if p else None for p in matched]),
        radius_km=radius_km,
        stated_radius=int((~np.isnan(own_radius)).sum()),
        seed=seed,
    )
    seconds = [p.seconds for p in matched if p and p.seconds is not None]
    several = any(p and len(p.guesses) > 1 for p in matched)
    kinds = kind_names(benchmark)
    return Evaluation(
        system=system or (names[0] if len(names) == 1 else "unnamed system"),
        benchmark=benchmark.to_dict(),
        photos=len(queries),
        answered=int(np.isfinite(error_km).sum()),
        accuracy=accuracy_figures(error_km, precision_km=precision_km, seed=seed),
        best_of_five=_shares(best_km, precision_km, seed) if several else None,
        names=_name_figures(naming, seed),
        continents=continents,
        countries=countries,
        calibration=calibration,
        leakage=None
        if gallery is None or leaked is None
        else _leakage(gallery, leaked, error_km, precision_km, seed),
        seconds_per_photo=float(np.mean(seconds)) if seconds else None,
        kinds=tuple(
            KindFigures(
                name,
                int(members.sum()),
                accuracy_figures(error_km[members], precision_km=precision_km[members], seed=seed),
            )
            for name, members in kind_groups(kinds, street_kinds(benchmark))
        ),
        resamples=resamples_for(len(queries)),
        problems=(*benchmark.problems, *problems, *complaints),
        scores=tuple(
            PhotoScore(
                photo=query.photo,
                lat=query.lat,
                lon=query.lon,
                answer_lat=guess.lat if guess else None,
                answer_lon=guess.lon if guess else None,
                error_km=float(error_km[row]),
                best_km=float(best_km[row]),
                geoscore=float(points[row]),
                probability=guess.probability if guess else None,
                confidence=guess.confidence if guess else None,
                right=bool(right[row]),
                true_country=naming.true_country[row],
                said_country=naming.said_country[row],
                country_right=_flag(naming, "country", row),
                region_right=_flag(naming, "region", row),
                city_right=_flag(naming, "city", row),
                leaked=None if leaked is None else bool(leaked[row]),
                seconds=prediction.seconds if prediction else None,
                kind=kinds[row],
                precision_km=query.precision_km,
            )
            for row, (query, guess, prediction) in enumerate(zip(queries, firsts, matched, strict=True))
        ),
    )


def accuracy_figures(
    error_km: Array, *, precision_km: Array | float = 0.0, seed: int = 0
) -> dict[str, Interval]:
    """Summarise errors, with 95 % bootstrap intervals over photos.

    Args:
        error_km: Distance from the first answer to the truth in km, infinite without an answer, shape (n,).
        precision_km: How far photos may lie from the stated truth, shape (n,) or a number. A photo counts at
            distances above it; where none does, the figure is NaN.
        seed: Seed of the bootstrap.

    Returns:
        As `Evaluation.accuracy`.
    """
    answered = np.isfinite(error_km)
    ones, points = np.ones(len(error_km)), geoscore(error_km)
    finite_km = np.where(answered, error_km, 0.0)
    draws, medians = resample(
        len(error_km), [(finite_km, answered.astype(np.float64)), (points, ones)], [error_km], seed=seed
    )
    mean_km = float(error_km[answered].mean()) if answered.any() else float("nan")
    return {
        **_shares(error_km, np.broadcast_to(precision_km, error_km.shape), seed),
        "median km": interval(float(np.median(error_km)), medians[:, 0]),
        "mean km": interval(mean_km, draws[:, 0]),
        "GeoScore": interval(float(points.mean()), draws[:, 1]),
    }


def _shares(error_km: Array, precision_km: Array, seed: int) -> dict[str, Interval]:
    """Return the percentage within each of `THRESHOLDS_KM`, of the photos known that well."""
    counted = [(precision_km < threshold).astype(np.float64) for threshold in THRESHOLDS_KM]
    hits = [
        np.where(error_km <= threshold, 100.0, 0.0) * known
        for threshold, known in zip(THRESHOLDS_KM, counted, strict=True)
    ]
    draws, _ = resample(len(error_km), list(zip(hits, counted, strict=True)), seed=seed)
    return {
        f"{threshold:g} km": interval(share(hit, known), draws[:, column])
        for column, (threshold, hit, known) in enumerate(zip(THRESHOLDS_KM, hits, counted, strict=True))
    }


def _matched(
    predictions: Iterable[SystemPrediction | Prediction], queries: Sequence[Query]
) -> tuple[dict[str, SystemPrediction], list[str], list[Problem]]:
    """Return predictions by the benchmark's names, names of systems, and predictions that found no photo."""
    index = NameIndex(query.photo for query in queries)
    found: dict[str, SystemPrediction] = {}
    systems: dict[str, None] = {}
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
                systems[prediction.system] = None
    return found, list(systems), problems


def _errors(lat: Array, lon: Array, guesses: Sequence[Guess | None]) -> Array:
    """Return the distance of each guess from the truth; infinite where there is none."""
    answer_lat = _stated([guess.lat if guess else None for guess in guesses])
    answer_lon = _stated([guess.lon if guess else None for guess in guesses])
    km = great_circle_km(lat, lon, answer_lat, answer_lon)
    return np.where(np.isnan(km), np.inf, km)


def _best(lat: Array, lon: Array, predictions: Sequence[SystemPrediction | None]) -> Array:
    """Return the least distance of the first five guesses."""
    best = np.full(len(lat), np.inf)
    for rank in range(BEST_OF):
        guesses = [p.guesses[rank] if p and len(p.guesses) > rank else None for p in predictions]
        best = np.minimum(best, _errors(lat, lon, guesses))
    return best


def _stated(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _name_figures(naming: Naming, seed: int) -> dict[str, NameFigure]:
    columns = [
        (np.where(naming.right[level], 100.0, 0.0), naming.known[level].astype(np.float64))
        for level in LEVELS
    ]
    draws, _ = resample(len(naming.true_country), columns, seed=seed)
    figures = {}
    for column, level in enumerate(LEVELS):
        known = int(naming.known[level].sum())
        share = 100.0 * float(naming.right[level].sum()) / known if known else 0.0
        figures[level] = NameFigure(
            known, naming.from_table[level], interval(share, draws[:, column]) if known else None
        )
    return figures


def _leakage(
    gallery: tuple[Array, Array],
    leaked: NDArray[np.bool_],
    error_km: Array,
    precision_km: Array,
    seed: int,
) -> Leakage:
    clean = ~leaked
    without = (
        accuracy_figures(error_km[clean], precision_km=precision_km[clean], seed=seed) if clean.any() else {}
    )
    return Leakage(len(gallery[0]), int(leaked.sum()), without)


def _flag(naming: Naming, level: str, row: int) -> bool | None:
    return bool(naming.right[level][row]) if naming.known[level][row] else None
