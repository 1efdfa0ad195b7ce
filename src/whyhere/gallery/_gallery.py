"""The places of a gallery: their embeddings, what lies between them, and the countries that they are in."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere._io import write_atomically
from whyhere.geo import (
    cells_of,
    country_units,
    great_circle_km,
    land_cells,
    land_fingerprint,
    populated_cells,
    tables_fingerprint,
)

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Unit = tuple[str | None, str | None]

LAND_RESOLUTION = 3
TOWN_RESOLUTION = 4

_UNITS_VERSION = 2  # changes whenever other units would be found for the same places and tables
_NEIGHBOURS = 8
_AS_NEAR_AS_CAN_BE_KM = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Places and their embeddings.

    Attributes:
        lat: Latitudes in degrees, float64, shape (n,); read-only.
        lon: Longitudes in degrees, float64, shape (n,); read-only.
        embeddings: Embeddings of unit length, float32, shape (n, dim); memory-mapped and read-only.
        fingerprint: Tells from which coordinates, weights and algorithm the embeddings were made.
        added: How many of the points, the last ones, fill land that the coordinates leave empty.
    """

    lat: Float64Array
    lon: Float64Array
    embeddings: Float32Array
    fingerprint: str
    added: int = 0

    def __len__(self) -> int:
        return len(self.lat)


def interpolate(gallery: Gallery, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Float32Array:
    """Embed positions between the places of a gallery whose embeddings are those of neighbourhoods.

    Such embeddings change slowly from place to place, so that the nearest eight, weighted by the inverse
    square of their distance (Shepard 1968), stand for what lies between them; a place of the gallery has its
    own. The exact average would need every single place of the gallery embedded anew.

    Args:
        gallery: The gallery.
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Unit embeddings, float32, shape (n, 512).
    """
    result = np.empty((len(lat), gallery.embeddings.shape[1]), np.float32)
    count = min(_NEIGHBOURS, len(gallery))
    for row, (y, x) in enumerate(zip(lat, lon, strict=True)):
        km = great_circle_km(y, x, gallery.lat, gallery.lon)
        nearest = np.sort(np.argpartition(km, count - 1)[:count])
        mean = np.maximum(km[nearest], _AS_NEAR_AS_CAN_BE_KM) ** -2.0 @ gallery.embeddings[nearest]
        result[row] = mean / np.linalg.norm(mean)
    return result


def empty_land(lat: Float64Array, lon: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return positions that fill the land on which a gallery has no point: one in every empty land cell.

    GeoCLIP's 100,000 points are where photos are shared: three quarters of the land have none within a
    hundred kilometres. Cells of resolution 3 (some 60 km from their middle to their edge) are filled wherever
    there is land, and cells of resolution 4 (23 km) wherever GeoNames has a place, which is where photos are
    taken.

    Args:
        lat: Latitudes of the gallery in degrees, shape (n,).
        lon: Longitudes, shape (n,).

    Returns:
        Latitudes and longitudes of one position in every land cell of `LAND_RESOLUTION` that is empty, then
        in every cell of `TOWN_RESOLUTION` that still is empty and holds a place; always in the same order.
    """
    own = len(lat)
    for resolution, cells_with in ((LAND_RESOLUTION, land_cells), (TOWN_RESOLUTION, populated_cells)):
        cells, cell_lat, cell_lon = cells_with(resolution)
        empty = ~np.isin(cells, cells_of(lat, lon, resolution))
        lat, lon = np.concatenate((lat, cell_lat[empty])), np.concatenate((lon, cell_lon[empty]))
    return lat[own:], lon[own:]


def empty_land_fingerprint() -> str:
    """Return what the filled positions depend on beside the gallery's own."""
    return (
        f"land cells of resolution {LAND_RESOLUTION}, town cells of resolution {TOWN_RESOLUTION}, version 1: "
        f"{land_fingerprint()}"
    )


@dataclass(frozen=True, slots=True, eq=False)
class PlaceUnits:
    """Which country and first-level unit each place lies in.

    Attributes:
        units: Country code and name of the first-level unit, each None where there is none, shape (u,).
        of_place: Row of `units` for every place, shape (n,).
    """

    units: tuple[Unit, ...]
    of_place: NDArray[np.intp]

    @classmethod
    def of(cls, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> PlaceUnits:
        """Find the units of positions in degrees, each of shape (n,)."""
        found = country_units(lat, lon)
        units = tuple(dict.fromkeys(found))
        row_of = {unit: row for row, unit in enumerate(units)}
        return cls(units, np.array([row_of[unit] for unit in found], np.intp))


def open_units(lat: NDArray[np.float64], lon: NDArray[np.float64], folder: Path) -> PlaceUnits:
    """Return the units of a gallery's places, from `folder` where they were found before.

    Finding them takes seconds and reading them milliseconds. A directory that cannot be written, and a file
    that is damaged or was made by other tables, cost those seconds again and change nothing else.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        folder: Directory of the gallery's bank.
    """
    parts = (f"units {_UNITS_VERSION} {tables_fingerprint()}".encode(), lat.tobytes(), lon.tobytes())
    path = folder / f"units-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.json"
    if (kept := _kept_units(path, len(lat))) is not None:
        return kept
    found = PlaceUnits.of(lat, lon)
    text = json.dumps({"units": found.units, "of_place": found.of_place.tolist()}, separators=(",", ":"))
    with suppress(OSError):
        write_atomically(path, f"{_check(text)}\n{text}")
    return found


def _kept_units(path: Path, places: int) -> PlaceUnits | None:
    """Read what `open_units` kept, or return None where there is nothing that can be used."""
    try:
        check, _, text = path.read_text(encoding="utf-8").partition("\n")
        if check != _check(text):
            return None
        value = json.loads(text)
        units = tuple((code, name) for code, name in value["units"])
        of_place = np.array(value["of_place"], np.intp)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = of_place.shape == (places,) and (of_place >= 0).all() and (of_place < len(units)).all()
    return PlaceUnits(units, of_place) if fits else None


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
