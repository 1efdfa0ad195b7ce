"""A planted world: training data whose truth is known, for tests and ablations.

Places lie on real land. What holds at a place (belt of latitude, continent of its country, coast, people) is
read off the real geodata that whyhere ships, so nothing is fetched. A photo shows some of what holds at its
place, now and then something that does not, all of it as directions in a feature space, buried in noise and
in nuisance that says nothing about the place. Training must find out which concept holds where.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import ConceptAlignment
from whyhere.geo import EARTH_RADIUS_KM, basemap, countries, country_codes, great_circle_km, unit_vectors
from whyhere.stats import auroc
from whyhere.training import Examples

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

BELTS = (("tropical", 0.0, 23.4), ("subtropical", 23.4, 36.0), ("temperate", 36.0, 52.0))
CONTINENTS = ("Africa", "Asia", "Europe", "North America", "South America", "Oceania")
_SHOWN, _FALSE = 0.6, 0.03  # chance that a photo shows what holds at its place, and what does not
_NUISANCE_SHARE, _NUISANCE, _NOISE = 0.78, 3.0, 0.06


class PlantedEncoder:
    """A location encoder of random smooth waves on the sphere, for tests without weights.

    Args:
        seed: Seed of the waves.
    """

    dim = 512

    def __init__(self, *, seed: int = 0) -> None:
        rng = np.random.default_rng((seed, 99))
        scales = np.repeat((1.0, 3.0, 8.0, 20.0), self.dim // 4)
        self._waves = rng.standard_normal((3, self.dim)) * scales
        self._phases = rng.uniform(0, 2 * np.pi, self.dim)

    def embed(self, lat: Doubles, lon: Doubles, **_: Any) -> Floats:
        """Embed positions in degrees, float32, shape (n, 512)."""
        embeddings: Floats = np.cos(unit_vectors(lat, lon) @ self._waves + self._phases).astype(np.float32)
        return embeddings


@dataclass(frozen=True, slots=True)
class PlantedWorld:
    """Photos, and other places whose truth is known.

    Attributes:
        concepts: Names of the k concepts.
        directions: Unit directions as columns, float32, shape (p, k).
        photos: Photos to train on.
        test_photos: Photos of the held-out places, one each.
        truth: Whether each concept holds at each held-out place, shape (m, k).
    """

    concepts: tuple[str, ...]
    directions: Floats
    photos: Examples
    test_photos: Examples
    truth: NDArray[np.bool_]


def planted_world(*, photos: int = 300, held_out: int = 1000, dims: int = 128, seed: int = 0) -> PlantedWorld:
    """Make a world.

    Args:
        photos: Photos to train on.
        held_out: Held-out places.
        dims: Width of the feature space.
        seed: Seed of places, directions and photos.
    """
    rng = np.random.default_rng((seed, 7))
    lat, lon = land_places(photos + held_out, rng=rng)
    concepts, truth = concepts_at(lat, lon)
    # Real concept directions share a common part, and so do these.
    directions = rng.standard_normal((dims, len(concepts))) + 0.5 * rng.standard_normal((dims, 1))
    directions /= np.linalg.norm(directions, axis=0)
    shows = (truth & (rng.random(truth.shape) < _SHOWN)) | (rng.random(truth.shape) < _FALSE)
    features = (shows * rng.uniform(0.5, 1.5, truth.shape)) @ directions.T
    nuisance = np.linalg.qr(rng.standard_normal((dims, round(_NUISANCE_SHARE * dims))))[0]
    strength = _NUISANCE / np.sqrt(nuisance.shape[1])
    features += strength * rng.standard_normal((len(lat), nuisance.shape[1])) @ nuisance.T
    features += _NOISE * rng.standard_normal(features.shape)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    rows = np.arange(len(lat))
    both = Examples(features.astype(np.float32), rows, lat, lon)

    def part(chosen: slice) -> Examples:
        return Examples(both.features, rows[chosen], lat[chosen], lon[chosen])

    return PlantedWorld(
        concepts,
        directions.astype(np.float32),
        part(slice(photos)),
        part(slice(photos, None)),
        truth[photos:],
    )


def land_places(count: int, *, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Draw places evenly from the land north of 60 degrees south: latitudes, longitudes, shape (count,)."""
    lat, lon = np.empty(0), np.empty(0)
    while len(lat) < count:
        more_lat = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-60)), 1, 2 * count)))
        more_lon = rng.uniform(-180, 180, 2 * count)
        land = np.array([code is not None for code in country_codes(more_lat, more_lon, coast_km=0.0)])
        lat, lon = np.concatenate((lat, more_lat[land])), np.concatenate((lon, more_lon[land]))
    return lat[:count], lon[:count]


def concepts_at(lat: Doubles, lon: Doubles) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Return names of concepts, and which of them hold at places on land, shape (n, k)."""
    columns: dict[str, NDArray[np.bool_]] = {
        name: (low <= np.abs(lat)) & (np.abs(lat) < high) for name, low, high in BELTS
    }
    columns["boreal"] = lat >= 52.0
    columns["southern"] = lat < 0
    table = countries()
    continent = np.array([table[code].continent if code else "" for code in country_codes(lat, lon)])
    columns |= {name.lower(): continent == name for name in CONTINENTS}
    coast_km = distance_to_coast_km(lat, lon)
    columns |= {"coast": coast_km < 100, "inland": coast_km > 700}
    people = people_near(lat, lon, radius_km=50.0)
    columns |= {"crowded": people > 500_000, "empty": people < 2_000}
    columns["hot coast"] = columns["tropical"] & columns["coast"]
    return tuple(columns), np.stack(list(columns.values()), axis=1)


def distance_to_coast_km(lat: Doubles, lon: Doubles) -> Doubles:
    """Return distances to the coasts and great lakes of the small map, right to about 20 km."""
    points = []
    for ring in basemap().land:
        # Long edges get further points, so that the nearest vertex stands for the nearest edge.
        steps = np.maximum(np.ceil(np.abs(np.diff(ring, axis=0)).max(axis=1) / 0.25).astype(int), 1)
        for (start, end), count in zip(pairwise(ring), steps, strict=True):
            points.append(start + (end - start) * np.arange(count)[:, None] / count)
    shore = unit_vectors(*np.concatenate(points).T).astype(np.float32)
    nearest = np.concatenate(
        [(block @ shore.T).max(axis=1) for block in np.array_split(_unit32(lat, lon), len(lat) // 256 + 1)]
    )
    km: Doubles = EARTH_RADIUS_KM * np.arccos(np.clip(nearest.astype(np.float64), -1, 1))
    return km


def people_near(lat: Doubles, lon: Doubles, *, radius_km: float) -> Doubles:
    """Return how many people the gazetteer knows within a radius of places."""
    from whyhere.geo import gazetteer

    table = gazetteer()
    half_width = np.degrees(radius_km / EARTH_RADIUS_KM)
    people = np.empty(len(lat))
    for i, (y, x) in enumerate(zip(lat, lon, strict=True)):
        band = slice(*np.searchsorted(table.lat, (y - half_width, y + half_width)))
        near = great_circle_km(y, x, table.lat[band], table.lon[band]) <= radius_km
        people[i] = table.population[band][near].sum()
    return people


@dataclass(frozen=True, slots=True)
class PlantedScore:
    """How well an alignment knows a planted world.

    Attributes:
        auroc: Of each concept: how well its score at held-out places tells where it holds.
        median_km: Median error of test photos, the held-out places being the gallery.
        within_2500_km: Share of test photos answered within 2,500 km.
    """

    auroc: dict[str, float]
    median_km: float
    within_2500_km: float

    @property
    def mean_auroc(self) -> float:
        """Mean over concepts."""
        return float(np.mean(list(self.auroc.values())))


def score_planted(alignment: ConceptAlignment, world: PlantedWorld, encoder: PlantedEncoder) -> PlantedScore:
    """Test an alignment on the held-out places.

    A concept's score of a place is z_loc, read from the module. An alignment in feature space has no such
    thing; there the direction is asked like a photo, as GeoCLIP does with text.
    """
    places = encoder.embed(world.test_photos.lat, world.test_photos.lon)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    centred = places - alignment.location_mean
    if alignment.concept_weight > 0:
        by_concept = centred @ alignment.basis
    else:
        queries = np.stack([alignment.feature(direction) for direction in world.directions.T])
        by_concept = centred @ queries.T
    by_concept = by_concept / np.linalg.norm(centred, axis=1, keepdims=True)
    photos = world.test_photos.take(np.arange(len(world.test_photos)))
    best = [int(alignment.scores(alignment.encode_image(photo), places).argmax()) for photo in photos]
    lat, lon = world.test_photos.lat, world.test_photos.lon
    error_km = great_circle_km(lat, lon, lat[best], lon[best])
    told = {name: auroc(by_concept[:, j], world.truth[:, j]) for j, name in enumerate(world.concepts)}
    return PlantedScore(
        {name: np.nan if chance is None else chance for name, chance in told.items()},
        float(np.median(error_km)),
        float(np.mean(error_km <= 2500)),
    )


def _unit32(lat: Doubles, lon: Doubles) -> Floats:
    return unit_vectors(lat, lon).astype(np.float32)
