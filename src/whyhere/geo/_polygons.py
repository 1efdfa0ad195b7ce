"""Any number of polygons on the endless map of `_rings`, against any number of positions.

All positions go into one tree, which the rings are looked up in: a polygon meets only the positions in its
bounding box. A ring test costs as much as the ring has edges at the latitude of the position, so a ring with
very many is cut into strips of longitude first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo._sphere import FULL_TURN

_SAME = 1e-9  # degrees; far below any coordinate's precision, far above float rounding


def _short_steps(lon: NDArray[np.float64], *, keep_full_turns: bool) -> NDArray[np.float64]:
    """Steps between neighbours, each taken the short way round; half turns keep their sign."""
    step = np.diff(lon)
    short = step - FULL_TURN * np.round(step / FULL_TURN)
    keep = np.abs(step) <= FULL_TURN / 2
    if keep_full_turns:
        keep |= np.abs(np.abs(step) - FULL_TURN) < _SAME
    return np.where(keep, step, short)


def unwrap_ring(ring: NDArray[np.float64], *, seam: bool = False) -> NDArray[np.float64]:
    """Lay a ring out on the endless map and close it over a pole where it goes round one.

    An edge is taken the short way, so "179 then -179" is a step of 2 degrees, and so is "179 then 181".
    An edge of exactly 360 degrees is the seam of a map, of no length, where the ring closes that way with
    some width; otherwise it is an edge all the way round, as in a box from -180 to 180.

    Args:
        ring: Closed ring, shape (n, 2), longitude and latitude in degrees, last row equal to the first.
        seam: Take every edge of 360 degrees for the seam of a map.

    Returns:
        Closed ring, shape (m, 2), with longitudes of any size. A ring that goes once round the Earth is
        closed over the pole on its own side of the equator.

    Raises:
        ValueError: The ring goes round the Earth more than once.
    """
    lon, lat = ring[:, 0], ring[:, 1]
    steps = _short_steps(lon, keep_full_turns=False)
    if not seam and np.any(np.abs(np.abs(np.diff(lon)) - FULL_TURN) < _SAME):
        path = np.cumsum(steps)
        closes, has_width = abs(path[-1]) < FULL_TURN / 2, np.ptp(path) > _SAME
        if not (closes and has_width):
            steps = _short_steps(lon, keep_full_turns=True)
    turns = round(float(steps.sum()) / FULL_TURN)
    if abs(turns) > 1:
        raise ValueError(f"the ring goes {abs(turns)} times round the Earth")
    out = np.column_stack((lon[0] + np.concatenate(([0.0], np.cumsum(steps))), lat))
    if turns == 0:
        out[-1] = out[0]
        return out
    side = float(np.sum(np.abs(steps) * (lat[1:] + lat[:-1])))
    pole = 90.0 if side >= 0 else -90.0
    over = np.array([[out[-1, 0], pole], [out[0, 0], pole], out[0]])
    return np.concatenate((out, over))


def whole_turns(low: float, high: float) -> range:
    """Turns k for which a longitude in [-180, 180) plus 360 k may lie in [low, high]."""
    first = int(np.ceil((low - 180.0) / FULL_TURN))
    last = int(np.floor((high + 180.0) / FULL_TURN))
    return range(first, last + 1)


Doubles = NDArray[np.float64]

MAX_TURNS: Final = 3.0
"""A ring that reaches over more turns of the Earth than this is no outline of anything."""

_MAX_TESTS: Final = 50_000_000  # of a ring and a position in its box: some 20 seconds
_TESTS_AT_ONCE: Final = 2_000_000
_EASY_WORK: Final = 200_000  # edges that tests of one ring may look at before it is cut: some 10 ms
_MARGIN_DEG: Final = 1e-6  # strips overlap by this, so that no position lies on a cut


@dataclass(frozen=True)
class PolygonsShape:
    """Polygons, each an outer ring and holes, tested at every whole turn.

    Attributes:
        rings: Closed rings on the endless map, each of shape (m, 2), longitude and latitude in degrees.
        polygon_of: Polygon that each ring belongs to, ascending, shape (r,); its first ring is the outer one.
    """

    rings: tuple[Doubles, ...]
    polygon_of: NDArray[np.intp]

    @classmethod
    def build(cls, polygons: Sequence[Sequence[Doubles]]) -> PolygonsShape:
        """Lay rings as a file has them out on the endless map.

        Raises:
            ValueError: A polygon has no area, or a ring winds round the Earth.
        """
        rings = [ring for rings in polygons for ring in rings]
        polygon_of = np.repeat(np.arange(len(polygons)), [len(rings) for rings in polygons])
        for row in _jumping(rings):
            rings[row] = unwrap_ring(rings[row])
        shape = cls(tuple(rings), polygon_of)
        west, south, east, north = shape._bounds.T
        if (east - west > MAX_TURNS * FULL_TURN).any():
            raise ValueError(f"a ring reaches over more than {MAX_TURNS:g} turns round the Earth")
        if (~shape._is_hole & ((west == east) | (south == north))).any():
            raise ValueError("a polygon has no area")
        return shape

    @cached_property
    def _is_hole(self) -> NDArray[np.bool_]:
        return np.concatenate(([False], self.polygon_of[1:] == self.polygon_of[:-1]))

    @cached_property
    def _shapes(self) -> NDArray[Any]:
        """Every ring as a polygon of its own, shape (r,)."""
        of_ring = np.repeat(np.arange(len(self.rings)), [len(ring) for ring in self.rings])
        shapes: NDArray[Any] = shapely.polygons(
            shapely.linearrings(np.concatenate(self.rings), indices=of_ring)
        )
        return shapes

    @cached_property
    def _bounds(self) -> Doubles:
        """West, south, east, north of every ring, shape (r, 4)."""
        bounds: Doubles = shapely.bounds(self._shapes)
        return bounds

    def contains(self, lat: Doubles, lon: Doubles) -> NDArray[np.bool_]:
        """Tell which positions lie in a polygon; edges belong to it, longitudes are those of `wrap_lon`.

        Raises:
            UsageError: So many polygons overlap that the test would not end in reasonable time.
        """
        inside = np.zeros(len(lat), bool)
        if not len(lat):
            return inside
        for pole, edge in ((90.0, 3), (-90.0, 1)):  # at a pole all longitudes are one
            reach = self._bounds[:, edge] == pole
            inside[lat == pole] = np.setdiff1d(
                self.polygon_of[reach & ~self._is_hole], self.polygon_of[reach & self._is_hole]
            ).size
        positions = _Positions.around(self._bounds, lat, lon)
        if not len(positions.of):
            return inside
        tests = positions.count_in(self._bounds)
        if tests.sum() > _MAX_TESTS:
            raise UsageError(
                f"the polygons of the region overlap so much that {tests.sum():,} tests of positions would "
                f"be needed, more than {_MAX_TESTS:,}; dissolve them into one outline"
            )
        ends = np.cumsum(np.bincount(self.polygon_of, tests))
        chunk_of = (ends // _TESTS_AT_ONCE).astype(np.intp)[self.polygon_of]
        for chunk in np.unique(chunk_of[tests > 0]):
            rows = np.flatnonzero((chunk_of == chunk) & (tests > 0))
            holes = self._is_hole[rows]
            within = self._pairs(rows[~holes], tests, positions, "intersects")
            if holes.any():
                within = np.setdiff1d(within, self._pairs(rows[holes], tests, positions, "contains"))
            inside[within % len(lat)] = True
        return inside

    def _pairs(
        self, rows: NDArray[np.intp], tests: NDArray[np.int64], positions: _Positions, predicate: str
    ) -> NDArray[np.int64]:
        """Return which positions some rings hold, each as polygon * positions in all + position."""
        found: list[NDArray[np.int64]] = []
        jagged = np.array([_crossings(self.rings[row]) * tests[row] > _EASY_WORK for row in rows], bool)
        ring, point = positions.tree.query(self._shapes[rows[~jagged]], predicate=predicate)
        found.append(self.polygon_of[rows[~jagged][ring]] * positions.count + positions.of[point])
        for row in rows[jagged]:
            near = positions.tree.query(shapely.box(*self._bounds[row]))
            held = _in_strips(self.rings[row], positions.x[near], positions.y[near], predicate)
            found.append(self.polygon_of[row] * positions.count + positions.of[near[held]])
        return np.unique(np.concatenate(found))

    def to_dict(self) -> dict[str, Any]:
        """Return the polygons as GeoJSON of the endless map."""
        coordinates: list[list[Any]] = [[] for _ in range(self.polygon_of[-1] + 1)]
        for polygon, ring in zip(self.polygon_of, self.rings, strict=True):
            coordinates[polygon].append(ring.tolist())
        return {"geometry": {"type": "MultiPolygon", "coordinates": coordinates}}


@dataclass(frozen=True)
class _Positions:
    """Positions laid out on the endless map, at every turn that some ring reaches.

    Attributes:
        count: How many positions were given.
        of: Which of them each one here is, shape (p,).
        x: Longitudes of any turn, shape (p,).
        y: Latitudes, shape (p,).
    """

    count: int
    of: NDArray[np.intp]
    x: Doubles
    y: Doubles

    @classmethod
    def around(cls, bounds: Doubles, lat: Doubles, lon: Doubles) -> _Positions:
        low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
        of, x = [np.empty(0, np.intp)], [np.empty(0)]
        for turn in whole_turns(low[0], high[0]):
            moved = lon + turn * FULL_TURN
            near = (low[0] <= moved) & (moved <= high[0]) & (low[1] <= lat) & (lat <= high[1])
            of.append(np.flatnonzero(near & (np.abs(lat) < 90.0)))
            x.append(moved[of[-1]])
        rows = np.concatenate(of)
        return cls(len(lat), rows, np.concatenate(x), lat[rows])

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(shapely.points(self.x, self.y))

    def count_in(self, bounds: Doubles) -> NDArray[np.int64]:
        """Return how many positions lie in boxes, counted by whole degrees, so never too few, shape (r,)."""
        west, south = np.floor(self.x.min()), np.floor(self.y.min())
        columns, rows = int(self.x.max() - west) + 1, int(self.y.max() - south) + 1
        cells = np.zeros((columns + 1, rows + 1), np.int64)
        np.add.at(cells, ((self.x - west).astype(int) + 1, (self.y - south).astype(int) + 1), 1)
        below = cells.cumsum(axis=0).cumsum(axis=1)
        left, right = (
            np.clip(np.floor(bounds[:, i] - west) + i // 2, 0, columns).astype(int) for i in (0, 2)
        )
        low, high = (np.clip(np.floor(bounds[:, i] - south) + i // 2, 0, rows).astype(int) for i in (1, 3))
        counts: NDArray[np.int64] = (
            below[right, high] - below[left, high] - below[right, low] + below[left, low]
        )
        return counts


def _jumping(rings: Sequence[Doubles]) -> Iterator[int]:
    """Yield the rings with an edge over more than half the Earth; the others are laid out already."""
    lon = np.concatenate([ring[:, 0] for ring in rings])
    starts = np.cumsum([0, *(len(ring) for ring in rings)])[:-1]
    steps = np.abs(np.diff(lon, append=lon[-1]))
    steps[starts[1:] - 1] = 0.0  # from one ring to the next
    yield from np.flatnonzero(np.maximum.reduceat(steps, starts) > FULL_TURN / 2).tolist()


def _crossings(ring: Doubles) -> float:
    """Return how often a ring meets a parallel between its southernmost and northernmost, on average."""
    return (
        float(np.abs(np.diff(ring[:, 1])).sum() / max(np.ptp(ring[:, 1]), 1e-12)) if len(ring) > 64 else 2.0
    )


def _in_strips(ring: Doubles, x: Doubles, y: Doubles, predicate: str, *, cuts: int = 10) -> NDArray[np.bool_]:
    """Test positions against a ring, halved in longitude until few of its edges share a latitude."""
    if len(ring) < 4:
        return np.zeros(len(x), bool)
    middle = np.median(x)
    left = x < middle
    if not cuts or not left.any() or len(x) * _crossings(ring) <= _EASY_WORK:
        shape = shapely.Polygon(ring)
        shapely.prepare(shape)
        held: NDArray[np.bool_] = getattr(shapely, f"{predicate}_xy")(shape, x, y)
        return held
    inside = np.empty(len(x), bool)
    for side, sign in ((left, 1.0), (~left, -1.0)):
        piece = _clip(ring, middle + sign * _MARGIN_DEG, sign)
        inside[side] = _in_strips(piece, x[side], y[side], predicate, cuts=cuts - 1)
    return inside


def _clip(ring: Doubles, limit: float, sign: float) -> Doubles:
    """Return the part of a ring west (sign 1) or east (-1) of a meridian, closed along it.

    Sutherland and Hodgman, "Reentrant polygon clipping", 1974: what is inside by the even-odd rule stays so,
    also for rings that cross themselves.
    """
    beyond = sign * (ring[:, 0] - limit)
    inside = beyond <= 0
    crosses = inside[1:] != inside[:-1]
    step = np.where(crosses, beyond[:-1] - beyond[1:], 1.0)
    lat = ring[:-1, 1] + beyond[:-1] / step * (ring[1:, 1] - ring[:-1, 1])
    points = np.stack((ring[:-1], np.column_stack((np.full(len(lat), limit), lat))), axis=1)
    kept: Doubles = points[np.column_stack((inside[:-1], crosses))]
    return np.concatenate((kept, kept[:1]))
