"""Reads the packed tables in `geo/data`, which `scripts/build_geo_data.py` writes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError
from whyhere.geo._sphere import EARTH_RADIUS_KM, unit_vectors, wrap_lon

if TYPE_CHECKING:
    from shapely import Polygon

LAT_LON_SCALE = 10_000
"""Places are stored in steps of 1e-4 degrees, 11 m."""


def _bytes(name: str) -> bytes:
    source = resources.files("whyhere.geo") / "data" / name
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"{source} is missing from this installation; reinstall whyhere") from error


@cache
def tables_fingerprint() -> str:
    """Return 64 hexadecimal digits that change whenever names, places or outlines do."""
    digest = hashlib.sha256()
    for name in ("places.npz", "outlines.npz", "countries.json"):
        digest.update(hashlib.sha256(_bytes(name)).digest())
    return digest.hexdigest()


def arrays(name: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of one `.npz` table."""
    try:
        with np.load(io.BytesIO(_bytes(name)), allow_pickle=False) as table:
            return {key: table[key] for key in table.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise MissingFileError(
            f"{name} of this installation is damaged ({error}); reinstall whyhere"
        ) from error


def document(name: str) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Read one `.json` table."""
    return json.loads(_bytes(name))


def slices(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Offsets, shape (n + 1,), of n runs with the given lengths."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


_KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180
_PULL = 0.15  # how far a larger place reaches: distance counts divided by (population + 100) ** _PULL
_STRAY_KM = 2.0  # nine in ten places on the wrong side of a rounded border lie this near to it
_STRAY_FACTOR = 3.0
_STRAY_REACH_KM = 25.0


class Gazetteer:
    """Places with positions, populations and names.

    Attributes:
        lat: Latitudes in degrees, rising, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        population: Inhabitants, 0 where unknown, shape (n,).
        country: ISO alpha-2 code of each place, shape (n,), dtype "<U2".
        city: Number of the city that holds the place, its own number where it stands alone, shape (n,).
        stray: True where the place lies in the rounded outline of another country, shape (n,).
    """

    def __init__(self, table: dict[str, NDArray[Any]]) -> None:
        self.lat = np.cumsum(table["lat_step"], dtype=np.int64) / LAT_LON_SCALE
        self.lon = table["lon"] / LAT_LON_SCALE
        self.population: NDArray[np.uint32] = table["population"]
        units = [line.split("\t") for line in table["units"].tobytes().decode().split("\n")]
        self._admin1: list[str | None] = [name or None for _, name in units]
        self._unit: NDArray[np.uint16] = table["unit"]
        self.country = np.array([code for code, _ in units], "<U2")[self._unit]
        n = len(self.lat)
        self.city = np.arange(n) + table["city_offset"]
        self.stray = np.unpackbits(table["stray"], count=n).astype(bool)
        self._name_at = slices(table["name_length"])
        self._names = table["names"].tobytes()
        self._unit_reach: dict[int, float] = {}
        self._vectors = unit_vectors(self.lat, self.lon)
        self._weight = ((self.population + 100.0) / 100.0) ** _PULL

    def name(self, place: int) -> str:
        """Name of a place; empty for one that is part of a city."""
        return self._names[self._name_at[place] : self._name_at[place + 1]].decode()

    def admin1(self, place: int) -> str | None:
        """First-level unit of a place."""
        return self._admin1[int(self._unit[place])]

    def unit_reach_km(self, place: int) -> float:
        """Radius that holds nine in ten places of the first-level unit of a place."""
        unit = int(self._unit[place])
        if unit not in self._unit_reach:
            vectors = self._vectors[self._unit == unit]
            middle = vectors.mean(axis=0)
            middle /= np.linalg.norm(middle)
            chord = np.linalg.norm(vectors - middle, axis=1)
            km = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
            self._unit_reach[unit] = float(np.quantile(km, 0.9))
        return self._unit_reach[unit]

    def _band(self, lat: float, lon: float, half_width: float) -> tuple[int, NDArray[np.float64]]:
        """Distances in km to the places of a band of latitudes, and the number of its first place."""
        low, high = np.searchsorted(self.lat, (lat - half_width, lat + half_width))
        chord = np.linalg.norm(self._vectors[low:high] - unit_vectors(lat, lon), axis=1)
        return int(low), 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))

    def within(self, lat: float, lon: float, *, radius_km: float) -> int:
        """Number of the nearest place not farther than `radius_km`, or -1; population does not count."""
        first, km = self._band(lat, lon, radius_km / _KM_PER_DEGREE)
        best = int(np.argmin(km)) if len(km) else -1
        return first + best if best >= 0 and km[best] <= radius_km else -1

    def nearest_of(self, vectors: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find which of some places each position is called after, by the rule of `nearest`.

        Args:
            vectors: Unit vectors of the positions, shape (n, 3).
            places: Numbers of the places, shape (m,); at least one.

        Returns:
            Numbers of places, shape (n,).
        """
        cosines = vectors @ self._vectors[places].T
        # The chord instead of the arc: of places a few degrees off the order is the same to 0.1 %.
        cost = np.sqrt(np.maximum(2.0 - 2.0 * cosines, 0.0)) / self._weight[places]
        best: NDArray[np.int64] = places[cost.argmin(axis=1)]
        return best

    def nearest(self, lat: float, lon: float, *, country: str | None = None) -> tuple[int, float]:
        """Find the place that a point is called after.

        The least km / ((population + 100) / 100) ** 0.15 wins. With a country, only its places count, and
        strays of others: up to 2 km away like its own, up to 25 km as if three times as far.

        Args:
            lat: Latitude in degrees.
            lon: Longitude in degrees.
            country: ISO alpha-2 code of the country to stay in.

        Returns:
            Number of the place and its distance in km, or -1 and infinity where the country has none.
        """
        heaviest = float(self._weight.max())
        half_width = 1.0
        while True:
            first, km = self._band(lat, lon, half_width)
            band = slice(first, first + len(km))
            cost = km / self._weight[band]
            if country is not None:
                foreign, strays = self.country[band] != country, self.stray[band]
                cost = np.where(foreign & strays & (km > _STRAY_KM), cost * _STRAY_FACTOR, cost)
                cost = np.where(foreign & (~strays | (km > _STRAY_REACH_KM)), np.inf, cost)
            best = int(np.argmin(cost)) if len(cost) else -1
            if best >= 0 and cost[best] <= half_width * _KM_PER_DEGREE / heaviest:
                return first + best, float(km[best])
            if half_width >= 180.0:
                found = best >= 0 and np.isfinite(cost[best])
                return (first + best, float(km[best])) if found else (-1, np.inf)
            half_width = min(half_width * 3, 180.0)


@cache
def gazetteer() -> Gazetteer:
    """Load the places, once."""
    return Gazetteer(arrays("places.npz"))


_EDGES_PER_RUN = 48  # runs are short enough that few edges are measured, long enough that boxes are few


class Outlines:
    """Polygons with one code each, and their edges in short runs for distances.

    Attributes:
        codes: ISO alpha-2 code of each polygon, shape (n,), dtype "<U2".
    """

    def __init__(self, table: dict[str, NDArray[Any]]) -> None:
        scale, shift = table["scale"], table["translate"]
        grid = np.cumsum(np.column_stack((table["dx"], table["dy"])).astype(np.int64), axis=0)
        self._xy = grid * scale + shift  # lon, lat of every vertex, rings one after another
        self._ring_at = slices(table["ring_length"])
        self._part_at = slices(table["rings_in_part"])
        self.codes: NDArray[np.str_] = table["code_names"][table["code"]].astype("<U2")
        self._bounds = self._part_bounds()
        self._area = np.prod(self._bounds[:, 2:] - self._bounds[:, :2], axis=1)
        self._polygons: dict[int, Polygon] = {}
        self._runs: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]] | None = None

    def _part_bounds(self) -> NDArray[np.float64]:
        """Bounding box of each part: west, south, east, north, shape (n, 4)."""
        starts = self._ring_at[self._part_at[:-1]]
        low, high = np.minimum.reduceat(self._xy, starts), np.maximum.reduceat(self._xy, starts)
        return np.concatenate((low, high), axis=1)

    def rings(self, part: int) -> list[NDArray[np.float64]]:
        """Closed rings of one polygon, the outer one first, each (m, 2) longitude and latitude."""
        numbers = range(self._part_at[part], self._part_at[part + 1])
        return [self._xy[self._ring_at[i] : self._ring_at[i + 1]] for i in numbers]

    def edges(self) -> NDArray[np.float64]:
        """Longitude and latitude of both ends of every edge, in degrees, shape (n, 2, 2)."""
        inner = np.ones(len(self._xy) - 1, np.bool_)
        inner[self._ring_at[1:-1] - 1] = False  # from one ring to the next is no edge
        first = np.flatnonzero(inner)
        return np.stack((self._xy[first], self._xy[first + 1]), axis=1)

    def _polygon(self, part: int) -> Polygon:
        import shapely

        if part not in self._polygons:
            outer, *holes = self.rings(part)
            self._polygons[part] = shapely.Polygon(outer, holes)
            shapely.prepare(self._polygons[part])
        return self._polygons[part]

    def containing(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.int64]:
        """Find the polygon that holds each point; the smaller one where two do, as around an enclave.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in [-180, 180), shape (n,).

        Returns:
            Number of the polygon, or -1, shape (n,).
        """
        import shapely

        found = np.full(len(lat), -1, np.int64)
        if len(lat) > 64:
            tree = shapely.STRtree(shapely.box(*self._bounds.T))
            points, parts = tree.query(shapely.points(lon, lat))
        else:
            west, south, east, north = self._bounds.T
            x, y = lon[:, None], lat[:, None]
            points, parts = np.nonzero((west <= x) & (x <= east) & (south <= y) & (y <= north))
        for part in sorted(set(parts.tolist()), key=lambda number: -self._area[number]):
            mine = points[parts == part]
            inside = shapely.intersects_xy(self._polygon(part), lon[mine], lat[mine])
            found[mine[inside]] = part
        return found

    def _edge_runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Runs of consecutive edges: first vertex, part, and bounding box (mid lon, mid lat, halves)."""
        if self._runs is None:
            firsts, parts = [], []
            part_of_ring = np.repeat(np.arange(len(self.codes)), np.diff(self._part_at))
            for ring, part in enumerate(part_of_ring):
                start, stop = self._ring_at[ring], self._ring_at[ring + 1] - 1
                run = np.arange(start, stop, _EDGES_PER_RUN)
                firsts.append(run)
                parts.append(np.full(len(run), part))
            first, part_of_run = np.concatenate(firsts), np.concatenate(parts)
            last = np.minimum(first + _EDGES_PER_RUN, self._ring_at[1:][self._ring_of(first)] - 1)
            bounds = np.column_stack((first, last + 1)).ravel()[:-1]
            low = np.minimum.reduceat(self._xy, bounds)[::2]
            high = np.maximum.reduceat(self._xy, bounds)[::2]
            boxes = np.concatenate(((low + high) / 2, (high - low) / 2), axis=1)
            self._runs = (np.column_stack((first, last)), part_of_run, boxes)
        return self._runs

    def _ring_of(self, vertex: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._ring_at, vertex, side="right") - 1

    def nearest(self, lat: float, lon: float, *, within_km: float) -> tuple[int, float]:
        """Find the nearest outline of a point outside all polygons.

        Distances are planar on a map scaled to the point's latitude: right to 1 % at the tens of km that
        coasts are asked for, worse within half a degree of a pole, where there is no coast.

        Args:
            lat: Latitude in degrees.
            lon: Longitude in [-180, 180).
            within_km: How far to look.

        Returns:
            Number of the polygon and its distance in km, or -1 and infinity.
        """
        ends, parts, boxes = self._edge_runs()
        squeeze = max(np.cos(np.radians(lat)), 1e-3)
        reach = within_km / _KM_PER_DEGREE
        close = np.flatnonzero(np.abs(lat - boxes[:, 1]) <= boxes[:, 3] + reach)
        close = close[np.abs(wrap_lon(lon - boxes[close, 0])) <= boxes[close, 2] + reach / squeeze]
        best, best_km = -1, np.inf
        for run in close:
            x = wrap_lon(self._xy[ends[run, 0] : ends[run, 1] + 1, 0] - lon) * squeeze
            y = self._xy[ends[run, 0] : ends[run, 1] + 1, 1] - lat
            km = float(_distance_to_path(x, y)) * _KM_PER_DEGREE
            if km < best_km:
                best, best_km = int(parts[run]), km
        return (best, best_km) if best_km <= within_km else (-1, np.inf)


def _distance_to_path(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Distance from the origin to a polyline."""
    dx, dy = np.diff(x), np.diff(y)
    square = dx * dx + dy * dy
    along = -(x[:-1] * dx + y[:-1] * dy) / np.where(square > 0, square, 1.0)
    along = np.clip(along, 0.0, 1.0)
    return float(np.min(np.hypot(x[:-1] + along * dx, y[:-1] + along * dy)))


@cache
def outlines() -> Outlines:
    """Load the outlines, once."""
    return Outlines(arrays("outlines.npz"))


@dataclass(frozen=True, slots=True)
class Basemap:
    """Outlines in degrees, rounded to 0.01, nowhere crossing 180 degrees.

    Attributes:
        land: Closed rings to fill, each (m, 2), latitude and longitude, float64. Lakes are rings of their
            own: fill all rings together by the even-odd rule.
        borders: Lines between countries to stroke, each (m, 2), latitude and longitude, float64.
    """

    land: tuple[NDArray[np.float64], ...]
    borders: tuple[NDArray[np.float64], ...]


@cache
def basemap() -> Basemap:
    """Load the map, once. Treat its arrays as read-only."""
    table = arrays("basemap.npz")
    points = np.column_stack((table["lat"], table["lon"])) / 100.0
    points.flags.writeable = False
    lines = tuple(np.split(points, slices(table["length"])[1:-1]))
    rings = int(table["rings"])
    return Basemap(lines[:rings], lines[rings:])
