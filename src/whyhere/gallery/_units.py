"""The country and first-level unit of every place of a gallery, found once and kept beside its embeddings."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere._io import write_atomically
from whyhere.geo import country_units, tables_fingerprint

Unit = tuple[str | None, str | None]

_VERSION = 2
"""Changes whenever other units would be found for the same places and tables."""


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
    parts = (f"units {_VERSION} {tables_fingerprint()}".encode(), lat.tobytes(), lon.tobytes())
    path = folder / f"units-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.json"
    if (kept := _read(path, len(lat))) is not None:
        return kept
    found = PlaceUnits.of(lat, lon)
    text = json.dumps({"units": found.units, "of_place": found.of_place.tolist()}, separators=(",", ":"))
    with suppress(OSError):
        write_atomically(path, f"{_check(text)}\n{text}")
    return found


def _read(path: Path, places: int) -> PlaceUnits | None:
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
