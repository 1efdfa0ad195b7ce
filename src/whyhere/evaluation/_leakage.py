"""Leakage: the places that can be answered contain the very positions that are asked for."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import great_circle_km, wrap_lon
from whyhere.tables import choose_columns, read_rows

LEAK_KM = 0.025
LEAK_DEG = 1e-4

_WINDOW_DEG = 3e-4  # 25 m are 2.25e-4 degrees of latitude


def leaked_queries(
    lat: ArrayLike, lon: ArrayLike, *, gallery_lat: ArrayLike, gallery_lon: ArrayLike
) -> NDArray[np.bool_]:
    """Find the positions that a gallery holds: within 25 m, or within 1e-4 degrees in both coordinates.

    A gallery made from the same photos lets a system answer a position to the metre that nobody could
    see in a photo: it turns the 1 km figure into a test of the gallery.

    Args:
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        gallery_lat: Latitudes that can be answered, shape (m,).
        gallery_lon: Longitudes that can be answered, shape (m,).

    Returns:
        Whether each position is in the gallery, shape (n,).
    """
    lats, lons = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    order = np.argsort(np.asarray(gallery_lat, np.float64), kind="stable")
    sorted_lat = np.asarray(gallery_lat, np.float64)[order]
    sorted_lon = np.asarray(gallery_lon, np.float64)[order]
    starts = np.searchsorted(sorted_lat, lats - _WINDOW_DEG, side="left")
    ends = np.searchsorted(sorted_lat, lats + _WINDOW_DEG, side="right")
    leaked = np.zeros(len(lats), bool)
    for row in np.flatnonzero(ends > starts):
        near = slice(starts[row], ends[row])
        dlat = np.abs(sorted_lat[near] - lats[row])
        dlon = np.abs(wrap_lon(sorted_lon[near] - lons[row]))
        km = great_circle_km(lats[row], lons[row], sorted_lat[near], sorted_lon[near])
        leaked[row] = bool(((dlat <= LEAK_DEG) & (dlon <= LEAK_DEG) | (km <= LEAK_KM)).any())
    return leaked


def read_gallery(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the positions that a system can answer, or was trained on.

    Args:
        path: `.npy` with an array of shape (n, 2), latitude and longitude, or a table with columns for them.

    Returns:
        Latitudes and longitudes in degrees, each of shape (n,).

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is neither.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        return _table(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such gallery")
    try:
        with path.open("rb") as file:  # NumPy leaves it open where an archive is damaged
            points = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, OverflowError, BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as a NumPy array: {error}") from error
    numeric = isinstance(points, np.ndarray) and points.dtype.kind in "fiu"
    if not numeric or points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise UsageError(f"{path}: expected finite numbers of shape (n, 2), latitude and longitude")
    if len(points) and np.abs(points[:, 0]).max() > 90.0:
        raise UsageError(f"{path}: a latitude lies beyond 90 degrees; are the columns swapped?")
    return points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)


def _table(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    header, rows = read_rows(path)
    columns = choose_columns(header, needed=("lat", "lon"))
    at_lat, at_lon = header.index(columns.lat), header.index(columns.lon)
    points = []
    for line, fields in rows:
        try:
            lat, lon = float(fields[at_lat]), float(fields[at_lon])
        except (ValueError, IndexError) as error:
            raise UsageError(f"{path}, line {line}: expected a latitude and a longitude") from error
        if not (-90.0 <= lat <= 90.0 and -360.0 <= lon <= 360.0):
            raise UsageError(
                f"{path}, line {line}: {lat:g}, {lon:g} is no position; are latitude and longitude swapped?"
            )
        points.append((lat, lon))
    table = np.array(points, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
