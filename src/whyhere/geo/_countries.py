"""Countries: the table, finding one by what people call it, and the country of a position."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere._text import folded
from whyhere.errors import UsageError
from whyhere.geo._sphere import wrap_lon
from whyhere.geo._tables import document, gazetteer, outlines

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
    words = folded(text.replace("&", " and ")).split()
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


LEFT_HAND_TRAFFIC = frozenset(
    [
        "AG",
        "AI",
        "AU",
        "BB",
        "BD",
        "BM",
        "BN",
        "BS",
        "BT",
        "BW",
        "CC",
        "CK",
        "CX",
        "CY",
        "DM",
        "FJ",
        "FK",
        "GB",
        "GD",
        "GG",
        "GS",
        "GY",
        "HK",
        "ID",
        "IE",
        "IM",
        "IN",
        "JE",
        "JM",
        "JP",
        "KE",
        "KI",
        "KN",
        "KY",
        "LC",
        "LK",
        "LS",
        "MO",
        "MS",
        "MT",
        "MU",
        "MV",
        "MW",
        "MY",
        "MZ",
        "NA",
        "NF",
        "NP",
        "NR",
        "NU",
        "NZ",
        "PG",
        "PK",
        "PN",
        "SB",
        "SC",
        "SG",
        "SH",
        "SR",
        "SZ",
        "TC",
        "TH",
        "TK",
        "TL",
        "TO",
        "TT",
        "TV",
        "TZ",
        "UG",
        "VC",
        "VG",
        "VI",
        "WS",
        "ZA",
        "ZM",
        "ZW",
    ]
)
"""Countries and territories where traffic keeps to the left; in all others it keeps to the right."""

SCRIPTS = {
    "Arabic": "AE AF BH DJ DZ EG EH ER IL IQ IR JO KM KW LB LY MA MR OM PK PS QA SA SD SO SY TD TN YE",
    "Armenian": "AM",
    "Bengali": "BD IN",
    "Burmese": "MM",
    "Chinese": "CN HK MO SG TW",
    "Cyrillic": "BA BG BY KG KZ ME MK MN RS RU TJ UA",
    "Devanagari": "IN NP",
    "Ethiopic": "ER ET",
    "Georgian": "GE",
    "Greek": "CY GR",
    "Hebrew": "IL",
    "Indic": "BD IN LK NP",
    "Japanese": "JP",
    "Khmer": "KH",
    "Korean": "KP KR",
    "Lao": "LA",
    "Sinhala": "LK",
    "Tamil": "IN LK SG",
    "Thaana": "MV",
    "Thai": "TH",
    "Tibetan": "BT CN",
}
"""Countries where signs are commonly written in a script."""

SCRIPT_NAMES = {
    "amharic": "Ethiopic",
    "dhivehi": "Thaana",
    "farsi": "Arabic",
    "ge ez": "Ethiopic",
    "hangeul": "Korean",
    "hangul": "Korean",
    "hanzi": "Chinese",
    "hindi": "Devanagari",
    "hiragana": "Japanese",
    "kanji": "Japanese",
    "katakana": "Japanese",
    "persian": "Arabic",
    "sinhalese": "Sinhala",
    "urdu": "Arabic",
}
"""Other names of scripts."""

LANGUAGES = {
    "english": "AG AU BB BS BZ CA DM GB GD GG GH GI GY IE IM JE JM KE KN LC LR MT NG NZ SG SL TT UG US VC ZA "
    "ZM ZW",
    "french": "BE BF BI BJ BL CA CD CF CG CH CI CM FR GA GF GN GP HT LU MC MF MG ML MQ NC NE PF PM RE SN TD "
    "TG WF YT",
    "german": "AT BE CH DE LI LU",
    "portuguese": "AO BR CV GW MO MZ PT ST TL",
    "spanish": "AD AR BO CL CO CR CU DO EC ES GQ GT HN MX NI PA PE PR PY SV UY VE",
}
"""Countries where a language that is spoken in several is on the signs; others are those of their nation."""

NATIONALITIES = {
    "AD": "andorran", "AE": "emirati", "AF": "afghan", "AL": "albanian", "AM": "armenian",
    "AO": "angolan", "AR": "argentine argentinian argentinean", "AT": "austrian",
    "AU": "australian aussie", "AZ": "azerbaijani azeri", "BA": "bosnian", "BB": "barbadian",
    "BD": "bangladeshi", "BE": "belgian", "BF": "burkinabe", "BG": "bulgarian", "BH": "bahraini",
    "BI": "burundian", "BJ": "beninese", "BN": "bruneian", "BO": "bolivian", "BR": "brazilian",
    "BS": "bahamian", "BT": "bhutanese", "BW": "botswanan", "BY": "belarusian", "BZ": "belizean",
    "CA": "canadian", "CD": "congolese", "CH": "swiss", "CI": "ivorian", "CL": "chilean",
    "CM": "cameroonian", "CN": "chinese", "CO": "colombian", "CR": "costa_rican", "CU": "cuban",
    "CY": "cypriot", "CZ": "czech", "DE": "german", "DK": "danish", "DM": "dominican", "DZ": "algerian",
    "EC": "ecuadorian", "EE": "estonian", "EG": "egyptian", "ER": "eritrean", "ES": "spanish",
    "ET": "ethiopian", "FI": "finnish", "FJ": "fijian", "FO": "faroese", "FR": "french",
    "GA": "gabonese", "GB": "british english scottish welsh", "GE": "georgian", "GH": "ghanaian",
    "GL": "greenlandic", "GM": "gambian", "GR": "greek", "GT": "guatemalan", "GY": "guyanese",
    "HN": "honduran", "HR": "croatian", "HT": "haitian", "HU": "hungarian",
    "ID": "indonesian balinese javanese", "IE": "irish", "IL": "israeli", "IN": "indian", "IQ": "iraqi",
    "IR": "iranian persian", "IS": "icelandic", "IT": "italian", "JM": "jamaican", "JO": "jordanian",
    "JP": "japanese", "KE": "kenyan", "KG": "kyrgyz", "KH": "cambodian", "KP": "north_korean",
    "KR": "south_korean korean", "KW": "kuwaiti", "KZ": "kazakh", "LA": "laotian lao", "LB": "lebanese",
    "LK": "sri_lankan", "LR": "liberian", "LT": "lithuanian", "LU": "luxembourgish", "LV": "latvian",
    "LY": "libyan", "MA": "moroccan", "MC": "monegasque", "MD": "moldovan", "ME": "montenegrin",
    "MG": "malagasy", "MK": "macedonian", "ML": "malian", "MM": "burmese", "MN": "mongolian",
    "MR": "mauritanian", "MT": "maltese", "MU": "mauritian", "MV": "maldivian", "MW": "malawian",
    "MX": "mexican", "MY": "malaysian", "MZ": "mozambican", "NA": "namibian", "NE": "nigerien",
    "NG": "nigerian", "NI": "nicaraguan", "NL": "dutch", "NO": "norwegian", "NP": "nepalese nepali",
    "NZ": "new_zealand kiwi", "OM": "omani", "PA": "panamanian", "PE": "peruvian", "PG": "papuan",
    "PH": "philippine filipino", "PK": "pakistani", "PL": "polish", "PR": "puerto_rican",
    "PS": "palestinian", "PT": "portuguese", "PY": "paraguayan", "QA": "qatari", "RO": "romanian",
    "RS": "serbian", "RU": "russian", "RW": "rwandan", "SA": "saudi saudi_arabian", "SD": "sudanese",
    "SE": "swedish", "SG": "singaporean", "SI": "slovenian", "SK": "slovak", "SN": "senegalese",
    "SO": "somali", "SR": "surinamese", "SV": "salvadoran", "SY": "syrian", "TG": "togolese",
    "TH": "thai", "TJ": "tajik", "TL": "timorese", "TM": "turkmen", "TN": "tunisian", "TR": "turkish",
    "TT": "trinidadian", "TW": "taiwanese", "TZ": "tanzanian", "UA": "ukrainian", "UG": "ugandan",
    "US": "american", "UY": "uruguayan", "UZ": "uzbek", "VE": "venezuelan", "VN": "vietnamese",
    "WS": "samoan", "XK": "kosovan kosovar", "YE": "yemeni", "ZA": "south_african", "ZM": "zambian",
    "ZW": "zimbabwean",
}  # fmt: skip
"""Adjectives of countries, by code."""

AREA_ADJECTIVES = {
    "african": "Africa", "asian": "Asia", "balkan": "Balkans", "baltic": "Baltic states",
    "caribbean": "Caribbean", "central american": "Central America", "central asian": "Central Asia",
    "east african": "East Africa", "east asian": "East Asia", "european": "Europe",
    "latin american": "Latin America", "middle eastern": "Middle East", "nordic": "Nordic countries",
    "north african": "North Africa", "north american": "North America", "oceanian": "Oceania",
    "scandinavian": "Scandinavia", "south american": "South America", "south asian": "South Asia",
    "southeast asian": "Southeast Asia", "south east asian": "Southeast Asia", "west african": "West Africa",
}  # fmt: skip
"""Adjectives of continents and areas."""


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
