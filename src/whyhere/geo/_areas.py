"""Parts of the Earth that are made of countries: continents, and areas that people name.

Continents are GeoNames', country by country, except that Russia is parted at the Urals (60 degrees east).
Which countries an area such as the Balkans holds is a convention; the usual one is written down here, from
general knowledge (November 2026), and can be read off `whyhere locate --region`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from whyhere.geo._countries import _plain, countries

URALS_LON = 60.0
"""Russia west of it lies in Europe, the rest in Asia."""

_CONTINENTS = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")

_AREAS = {
    "Americas": "+North_America +South_America",
    "Balkans": "AL BA BG GR HR ME MK RO RS SI XK",
    "Baltic states": "EE LT LV",
    "Benelux": "BE LU NL",
    "British Isles": "GB GG IE IM JE",
    "Caribbean": "AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI",
    "Caucasus": "AM AZ GE",
    "Central America": "BZ CR GT HN NI PA SV",
    "Central Asia": "KG KZ TJ TM UZ",
    "East Africa": "BI DJ ER ET KE RW SO SS TZ UG",
    "East Asia": "CN HK JP KP KR MN MO TW",
    "European Union": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK",
    "Iberia": "AD ES GI PT",
    "Latin America": "+South_America +Central_America MX CU DO HT PR",
    "Maghreb": "DZ EH LY MA MR TN",
    "Middle East": "AE BH EG IL IQ IR JO KW LB OM PS QA SA SY TR YE",
    "Nordic countries": "AX DK FI FO IS NO SE SJ",
    "North Africa": "DZ EG EH LY MA SD TN",
    "Pacific islands": "AS CK FJ FM GU KI MH MP NC NR NU PF PG PN PW SB TK TO TV UM VU WF WS",
    "Scandinavia": "DK NO SE",
    "South Asia": "AF BD BT IN LK MV NP PK",
    "Southeast Asia": "BN ID KH LA MM MY PH SG TH TL VN",
    "Southern Africa": "BW LS MW MZ NA SZ ZA ZM ZW",
    "West Africa": "BF BJ CI CV GH GM GN GW LR ML MR NE NG SH SL SN TG",
}

_SAME = {
    "australasia": "Oceania",
    "balkan": "Balkans",
    "baltics": "Baltic states",
    "baltic": "Baltic states",
    "eu": "European Union",
    "far east": "East Asia",
    "iberian peninsula": "Iberia",
    "near east": "Middle East",
    "nordics": "Nordic countries",
    "northern africa": "North Africa",
    "south east asia": "Southeast Asia",
    "southeastern asia": "Southeast Asia",
    "western africa": "West Africa",
    "eastern africa": "East Africa",
    "west indies": "Caribbean",
}


@cache
def areas() -> dict[str, frozenset[str]]:
    """Continents and areas by name, each as the codes of its countries."""
    found = {
        name: frozenset(country.code for country in countries().values() if country.continent == name)
        for name in _CONTINENTS
    }
    found["Asia"] |= {"RU"}
    for name in ("Central America", *_AREAS):
        codes: set[str] = set()
        for part in _AREAS[name].split():
            codes |= found[part[1:].replace("_", " ")] if part.startswith("+") else {part}
        found[name] = frozenset(codes)
    return found


def find_area(text: str) -> str | None:
    """Return the name of the continent or area that is meant, or None.

    >>> find_area("south-east asia"), find_area("Atlantis")
    ('Southeast Asia', None)
    """
    plain = _plain(text)
    return {_plain(name): name for name in areas()}.get(plain) or _SAME.get(plain)


def in_area(name: str, codes: NDArray[np.object_], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which positions lie in an area.

    Args:
        name: Name of the area.
        codes: Country code of every position, None at sea, shape (n,).
        lon: Longitudes of the positions, -180 to 180, shape (n,).
    """
    inside = np.isin(codes.astype(str), sorted(areas()[name]))
    if name in ("Asia", "Europe"):
        european = (lon > 0) & (lon < URALS_LON)
        inside &= (codes != "RU") | (european if name == "Europe" else ~european)
    return inside
