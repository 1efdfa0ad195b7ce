"""Metrics of the field: shares within distances, GeoScore, right names; by continent, country and kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere._text import folded
from whyhere.errors import UsageError
from whyhere.evaluation._predictions import Guess
from whyhere.geo import PlaceName, countries, find_country, place_names
from whyhere.stats import Doubles, Interval, interval, resample, share
from whyhere.tables import Query

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country and continent, as in the field since Im2GPS."""

DISTANCES = tuple(f"{threshold:g} km" for threshold in THRESHOLDS_KM)
"""Their names in all figures."""

GEOSCORE_KM = 1492.7
"""Decay of the GeoScore, from the world map of GeoGuessr (Haas et al. 2023, PIGEON)."""

LEVELS = ("country", "region", "city")
SEA = "open sea"
STREET, REST = "street level", "not street level"

_NO_CITY = re.compile(r"[\d,]+ km from |Open sea, |At sea, ")


def geoscore(error_km: Doubles) -> Doubles:
    """Return 5000 exp(-d / 1492.7) for distances in km, of any shape; 0 for infinite ones.

    Example:
        >>> geoscore(np.array([0.0, np.inf])).tolist()
        [5000.0, 0.0]
    """
    points: Doubles = 5000.0 * np.exp(-np.asarray(error_km, np.float64) / GEOSCORE_KM)
    return points


def hits_within(error_km: Doubles, precision_km: Doubles | float = 0.0) -> dict[str, tuple[Doubles, Doubles]]:
    """Return for each of `DISTANCES` 100 where the error is smaller, else 0, and which photos count, (n,).

    A photo counts at distances above the precision of its stated position.
    """
    known = [(np.broadcast_to(precision_km, error_km.shape) < t).astype(np.float64) for t in THRESHOLDS_KM]
    return {
        name: (np.where(error_km <= threshold, 100.0, 0.0) * counted, counted)
        for name, threshold, counted in zip(DISTANCES, THRESHOLDS_KM, known, strict=True)
    }


def shares_within(error_km: Doubles, precision_km: Doubles | float, seed: int) -> dict[str, Interval]:
    """Return the percentage within each of `DISTANCES`, of the photos known that well."""
    hits = hits_within(error_km, precision_km)
    draws, _ = resample(len(error_km), list(hits.values()), seed=seed)
    return {name: interval(share(*hits[name]), column) for name, column in zip(hits, draws.T, strict=True)}


def accuracy_figures(
    error_km: Doubles, *, precision_km: Doubles | float = 0.0, seed: int = 0
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
    points = geoscore(error_km)
    mean_km = np.where(answered, error_km, 0.0), answered.astype(np.float64)
    draws, medians = resample(
        len(error_km), [mean_km, (points, np.ones(len(error_km)))], [error_km], seed=seed
    )
    return {
        **shares_within(error_km, precision_km, seed),
        "median km": interval(float(np.median(error_km)), medians[:, 0]),
        "mean km": interval(float(error_km[answered].mean()) if answered.any() else np.nan, draws[:, 0]),
        "GeoScore": interval(float(points.mean()), draws[:, 1]),
    }


class Group(Record, frozen=True):
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


def group_figures(
    *,
    true_country: Sequence[str | None],
    said_country: Sequence[str | None],
    error_km: Doubles,
    precision_km: Doubles,
    seed: int = 0,
) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Break figures down.

    Args:
        true_country: ISO code of each photo's country, None on the open sea.
        said_country: ISO code of each first answer's country, None on the open sea or without an answer.
        error_km: Distance from the first answer to the truth, infinite without an answer, shape (n,).
        precision_km: How far photos may lie from the truth: they count at distances above it, shape (n,).
        seed: Seed of the bootstrap.

    Returns:
        Continents and countries, each with the most photos first.
    """
    points, hits = geoscore(error_km), hits_within(error_km, precision_km)
    pairs = zip(true_country, said_country, strict=True)
    right = np.array([100.0 * (true is not None and true == said) for true, said in pairs])

    def level(keys: Sequence[str], said: Counter[str], *, continents: bool) -> tuple[Group, ...]:
        counts = Counter(keys)
        names = sorted({*counts, *said}, key=lambda key: (-counts[key], -said[key], key))
        members = {name: np.array([key == name for key in keys]) for name in names}
        draws: Iterator[Doubles] = iter(())
        if continents:
            ratios = [(a * mine, b * mine) for mine in members.values() for a, b in hits.values()]
            draws = iter(resample(len(keys), ratios, seed=seed)[0].T)
        groups = []
        for name, mine in members.items():
            code = None if continents or name == SEA else name
            within = {
                distance: interval(share(a * mine, b * mine), next(draws, np.array([])))
                for distance, (a, b) in hits.items()
            }
            groups.append(
                Group(
                    name=countries()[name].name if code else name,
                    code=code,
                    photos=counts[name],
                    answered_here=said[name],
                    within=within,
                    median_km=float(np.median(error_km[mine])) if mine.any() else np.nan,
                    geoscore=float(points[mine].mean()) if mine.any() else np.nan,
                    country_right=float(right[mine].mean()) if mine.any() else np.nan,
                )
            )
        return tuple(groups)

    def continent(code: str | None) -> str:
        return SEA if code is None else countries()[code].continent

    said = [code for code in said_country if code is not None]
    return (
        level([continent(code) for code in true_country], Counter(map(continent, said)), continents=True),
        level([code or SEA for code in true_country], Counter(said), continents=False),
    )


class KindFigures(Record, frozen=True):
    """Figures of the photos of one kind.

    Attributes:
        name: The kind; "street level" and "not street level" for these two groups of kinds.
        photos: How many.
        accuracy: As `Evaluation.accuracy`.
    """

    name: str
    photos: int
    accuracy: dict[str, Interval]


def kind_groups(kinds: Sequence[str | None], street: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return the groups of kinds to report apart, each with its photos, shape (n,).

    Street level always stands apart, because the open collections hold little of it.

    Args:
        kinds: Kind of each photo; None where it is not known.
        street: Kinds that are street level.
    """
    known = np.array([kind is not None for kind in kinds], bool)
    on_street = np.array([kind in street for kind in kinds], bool)
    groups = {STREET: on_street, REST: known & ~on_street}
    counts = Counter(kind for kind in kinds if kind is not None)
    single = len([kind for kind in counts if kind in street]) == 1
    for kind, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if not (single and kind in street):
            groups[kind] = np.array([other == kind for other in kinds], bool)
    return {name: members for name, members in groups.items() if members.any()}


class NameFigure(Record, frozen=True):
    """How often a name is right.

    Attributes:
        photos: Photos with a true name.
        from_table: How many of the truths the table gave; the others are GeoNames' for the true position.
        right: Percentage of `photos`; None where there is no photo with a truth.
    """

    photos: int
    from_table: int
    right: Interval | None


class Naming(Record, frozen=True):
    """Names compared, photo by photo.

    Attributes:
        true_country: ISO code of the true country, None on the open sea; one a photo.
        said_country: ISO code of the country that the system named, or that its position lies in.
        right: For each of `LEVELS`, whether the system is right; None where there is no truth; one a photo.
        from_table: For each of `LEVELS`, how many truths the table gave; the others come from GeoNames.
    """

    true_country: tuple[str | None, ...]
    said_country: tuple[str | None, ...]
    right: dict[str, tuple[bool | None, ...]]
    from_table: dict[str, int]

    def figures(self, seed: int) -> dict[str, NameFigure]:
        """Return how often each of `LEVELS` is right."""
        columns = [
            (
                np.array([100.0 * bool(one) for one in self.right[level]]),
                np.array([float(one is not None) for one in self.right[level]]),
            )
            for level in LEVELS
        ]
        draws, _ = resample(len(self.true_country), columns, seed=seed)
        return {
            level: NameFigure(
                int(known.sum()),
                self.from_table[level],
                interval(share(right, known), draws[:, column]) if known.any() else None,
            )
            for column, (level, (right, known)) in enumerate(zip(LEVELS, columns, strict=True))
        }


def compare_names(queries: Sequence[Query], guesses: Sequence[Guess]) -> Naming:
    """Compare the names of the first answers with the truth.

    The true country is the table's where it has one, else that of the true position. The system's is the one
    it names, else that of its position; both as ISO codes, so that spelling does not matter. Where the
    table has a region or city, it is compared with what the system says, else with the name of its position;
    where the table has none, the names of both positions are compared, whatever the system says, because two
    gazetteers never spell alike. A region counts only in the right country, a city only in the right
    region where both are known.

    Args:
        queries: The photos.
        guesses: The first answer for each, empty where there is none.
    """
    placed = {
        row: (guess.lat, guess.lon)
        for row, guess in enumerate(guesses)
        if guess.lat is not None and guess.lon is not None
    }
    names = _names_at([*((query.lat, query.lon) for query in queries), *placed.values()])
    there_of = dict(zip(placed, names[len(queries) :], strict=True))
    true_codes: list[str | None] = []
    said_codes: list[str | None] = []
    right: dict[str, list[bool | None]] = {level: [] for level in LEVELS}
    for row, (query, said, truth) in enumerate(zip(queries, guesses, names[: len(queries)], strict=True)):
        there = there_of.get(row)
        true_code = _code(query.country) or truth.country_code
        said_code = _code(said.country) or (there.country_code if there else None)
        true_codes.append(true_code)
        said_codes.append(said_code)
        same_country = true_code is not None and true_code == said_code
        right["country"].append(same_country if true_code else None)

        true_region, said_region = _pair(
            query.region, said.region, truth.admin1, there.admin1 if there else None
        )
        true_city, said_city = _pair(query.city, said.city, _city(truth), _city(there))
        same_region = bool(true_region) and true_region == said_region
        right["region"].append(same_country and same_region if true_region else None)
        region_agrees = same_region or not (true_region and said_region)
        right["city"].append(same_country and true_city == said_city and region_agrees if true_city else None)
    from_table = {
        "country": sum(_code(query.country) is not None for query in queries),
        "region": sum(query.region is not None for query in queries),
        "city": sum(query.city is not None for query in queries),
    }
    verdicts = {level: tuple(found) for level, found in right.items()}
    return Naming(tuple(true_codes), tuple(said_codes), verdicts, from_table)


def _names_at(places: Sequence[tuple[float, float]]) -> list[PlaceName]:
    """Name latitudes and longitudes, each different place once: a gallery gives the same ones again."""
    different = list(dict.fromkeys(places))
    names = place_names([lat for lat, _ in different], [lon for _, lon in different]) if different else []
    by_place = dict(zip(different, names, strict=True))
    return [by_place[place] for place in places]


def _pair(listed: str | None, said: str | None, truth: str | None, there: str | None) -> tuple[str, str]:
    """Return the true and the said name to compare, folded; empty where there is none."""
    if listed is not None:
        return folded(listed), folded(said or there or "")
    return folded(truth or ""), folded(there or "")


def _city(place: PlaceName | None) -> str | None:
    """Return the city that a position is called after; None far from every place."""
    return None if place is None or _NO_CITY.match(place.name) else place.name


def _code(text: str | None) -> str | None:
    try:
        return find_country(text).code if text else None
    except UsageError:
        return None
