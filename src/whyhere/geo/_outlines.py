"""Country outlines: which polygon holds a point, and how far is the nearest one.

Polygons are Natural Earth's, cut at 180 degrees; each carries an ISO 3166 code. Nothing here knows names.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._packed import arrays, slices
from whyhere.geo._sphere import EARTH_RADIUS_KM, wrap_lon

if TYPE_CHECKING:
    from shapely import Polygon

_KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180
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
