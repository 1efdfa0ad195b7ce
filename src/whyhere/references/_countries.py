"""Sets of countries, and which country a position is in, looked up once per array of positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from whyhere.geo import countries, country_codes, outlines
from whyhere.references._layers import LAYERS, Floats
from whyhere.references._packed import rows


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
    near = np.flatnonzero((part < 0) & np.isfinite(LAYERS["coast_km"].values(lat, lon)))
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
