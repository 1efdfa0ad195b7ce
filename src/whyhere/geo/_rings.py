"""Rings of longitudes and latitudes on a round Earth.

A ring in a file lives on a flat map with a cut at 180 degrees. Here it is laid out on an endless map on
which longitude goes on past the cut, so that planar geometry is right again. Polygons are tested there
at every whole turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL_TURN = 360.0
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
