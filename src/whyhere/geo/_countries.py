"""Countries: the table, finding one by what people call it, and the country of a position."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere.errors import UsageError
from whyhere.geo._gazetteer import gazetteer
from whyhere.geo._outlines import outlines
from whyhere.geo._packed import document
from whyhere.geo._sphere import wrap_lon

COASTAL_KM = 25.0
"""Water this near to land still belongs to it. The coastline itself is right to about half a km."""

_ALIASES = {
    "UK": "GB", "Great Britain": "GB", "Britain": "GB", "England": "GB", "Scotland": "GB", "Wales": "GB",
    "Northern Ireland": "GB", "America": "US", "USA": "US", "U.S.": "US", "U.S.A.": "US",
    "United States of America": "US", "Holland": "NL", "Türkiye": "TR", "Czech Republic": "CZ",
    "Burma": "MM", "Swaziland": "SZ", "Cape Verde": "CV", "Macedonia": "MK", "Côte d'Ivoire": "CI",
    "East Timor": "TL", "Timor-Leste": "TL", "Vatican City": "VA", "Holy See": "VA", "Macau": "MO",
    "Palestine": "PS", "State of Palestine": "PS", "UAE": "AE", "Emirates": "AE", "DRC": "CD",
    "DR Congo": "CD", "Congo-Kinshasa": "CD", "Zaire": "CD", "Congo-Brazzaville": "CG",
    "Russian Federation": "RU", "Republic of Korea": "KR", "DPRK": "KP", "Viet Nam": "VN",
    "Lao PDR": "LA", "Syrian Arab Republic": "SY", "Brunei Darussalam": "BN", "Persia": "IR",
    "Republic of Ireland": "IE", "Eire": "IE", "Bosnia": "BA", "Tanzania, United Republic of": "TZ",
    "Republic of China": "TW", "People's Republic of China": "CN", "PRC": "CN", "EL": "GR",
    "Åland": "AX", "Svalbard": "SJ", "Jan Mayen": "SJ", "Faeroe Islands": "FO", "Falklands": "FK",
    "Malvinas": "FK", "Easter Island": "CL", "Virgin Islands": "VI", "US Virgin Islands": "VI",
    "Saint Martin (French part)": "MF", "St Martin": "MF", "Keeling Islands": "CC",
    "Cocos (Keeling) Islands": "CC", "Bonaire": "BQ", "Caribbean Netherlands": "BQ", "Trinidad": "TT",
    "Antigua": "AG", "St Kitts and Nevis": "KN", "St Lucia": "LC", "St Vincent": "VC",
    "St Vincent and the Grenadines": "VC", "St Helena": "SH", "St Barthelemy": "BL",
    "St Pierre and Miquelon": "PM", "Pitcairn Islands": "PN", "South Georgia": "GS",
    "French Southern and Antarctic Lands": "TF", "Federated States of Micronesia": "FM", "KSA": "SA",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Country:
    """A country or territory of ISO 3166-1, or Kosovo.

    Attributes:
        code: Alpha-2 code; "XK" for Kosovo, as GeoNames has it.
        alpha3: Alpha-3 code.
        name: English name.
        continent: English name of the continent.
    """

    code: str
    alpha3: str
    name: str
    continent: str


@cache
def countries() -> dict[str, Country]:
    """All 250 countries and territories by alpha-2 code."""
    return {row[0]: Country(*row) for row in document("countries.json")}


def _plain(text: str) -> str:
    """Fold case, accents, punctuation and a leading article away."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = re.sub(r"[\W_]+", " ", letters.casefold().replace("&", " and ")).split()
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)


@cache
def _by_name() -> dict[str, str]:
    names = {_plain(alias): code for alias, code in _ALIASES.items()}
    for country in countries().values():
        names.update(dict.fromkeys(map(_plain, (country.name, country.alpha3, country.code)), country.code))
    return names


def find_country(text: str) -> Country:
    """Find a country by code or English name.

    Args:
        text: Alpha-2 or alpha-3 code or name, in any case, with or without accents.

    Returns:
        The country.

    Raises:
        UsageError: No country is called that; the message names the closest ones.

    Example:
        >>> find_country("uk").name
        'United Kingdom'
    """
    plain, names = _plain(text), _by_name()
    if plain in names:
        return countries()[names[plain]]
    close = difflib.get_close_matches(plain[:60], names, n=4, cutoff=0.7) if len(plain) > 3 else []
    close += [name for name in names if len(plain) > 3 and plain in name.split()]
    found = list(dict.fromkeys(f"{countries()[names[name]].name} ({names[name]})" for name in close))
    hint = f"; did you mean {', '.join(found[:5])}?" if found else ""
    raise UsageError(f"no country is called {text[:60]!r}{hint}")


def country_codes(lat: ArrayLike, lon: ArrayLike, *, coast_km: float = COASTAL_KM) -> list[str | None]:
    """Find the country of each position.

    The polygon that holds the point decides. A point in none belongs to the nearest polygon within
    `coast_km`, failing that to the nearest GeoNames place as near (atolls that the map leaves out), else to
    none.

    Args:
        lat: Latitudes in degrees, shape (n,) or a number.
        lon: Longitudes in degrees, any turn, shape (n,) or a number.
        coast_km: How far from land water still belongs to it.

    Returns:
        ISO alpha-2 codes, None on the open sea.

    Raises:
        ValueError: A coordinate is not finite or a latitude lies outside -90 to 90.

    Example:
        >>> country_codes([48.8584, 0.0], [2.2945, -30.0])
        ['FR', None]
    """
    lat, lon = checked_positions(lat, lon)
    shapes = outlines()
    parts = shapes.containing(lat, lon)
    found: list[str | None] = np.where(parts >= 0, shapes.codes[parts], "").astype(object).tolist()
    for i in np.flatnonzero(parts < 0):
        found[i] = _coastal_code(float(lat[i]), float(lon[i]), coast_km)
    return found


def _coastal_code(lat: float, lon: float, coast_km: float) -> str | None:
    """Country of a point outside all polygons."""
    part, _ = outlines().nearest(lat, lon, within_km=coast_km)
    if part >= 0:
        return str(outlines().codes[part])
    place = gazetteer().within(lat, lon, radius_km=coast_km)
    return str(gazetteer().country[place]) if place >= 0 else None


def checked_positions(lat: ArrayLike, lon: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make two equally long vectors of latitudes and wrapped longitudes, or say what is wrong."""
    lats, lons = np.broadcast_arrays(
        np.atleast_1d(np.asarray(lat, np.float64)), np.atleast_1d(np.asarray(lon, np.float64))
    )
    if lats.ndim != 1:
        raise ValueError(f"expected vectors of latitudes and longitudes, not shape {lats.shape}")
    if not (np.isfinite(lats).all() and np.isfinite(lons).all()):
        raise ValueError("latitudes and longitudes must be finite numbers")
    if lats.size and np.abs(lats).max() > 90.0:
        raise ValueError("a latitude lies outside -90 to 90 degrees; are latitude and longitude swapped?")
    return lats, wrap_lon(lons)
