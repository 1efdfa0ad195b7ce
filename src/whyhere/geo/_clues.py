"""Words of a hint that name a place or a fact of countries: Norway, Nordic, Cyrillic, left-hand traffic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.geo._countries import (
    AREA_ADJECTIVES,
    LANGUAGES,
    LEFT_HAND_TRAFFIC,
    NATIONALITIES,
    SCRIPT_NAMES,
    SCRIPTS,
    _by_name,
    _plain,
    areas,
    countries,
    in_area,
)
from whyhere.geo._units import Unit, find_unit, in_unit, is_constituent

LONGEST_CLUE = 6
_SHORT_NAMES = ("uk", "usa", "uae", "u s a")
_DIRECTIONS = frozenset(
    ("north", "south", "east", "west", "northern", "southern", "eastern", "western", "central", "centre",
     "center", "coast", "coastal")
)  # fmt: skip
_SIDE = r"(left|right)(?: hand)?(?: side)?"
_DRIVING = re.compile(
    rf"(?:{_SIDE} (?:traffic|driving)"
    rf"|(?:driv\w+|traffic|cars?|keeps?|keeping)(?: driv\w+)?(?: on)?(?: the)? {_SIDE})"
    r"(?: of the road)?"
)
_STEERING = re.compile(r"(?:left|right) hand drive|[lr]hd")
_WRITTEN = ("script", "scripts", "writing", "letters", "lettering", "characters", "alphabet", "sign", "signs",
            "signage", "text", "language", "speaking")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clue:
    """A part of the Earth that words of a hint mean.

    Attributes:
        kind: "place", "script", "language" or "driving". A photo is in one place of several, and may show
            script and traffic beside.
        label: What the words were taken for, in words.
        codes: Countries, where it is made of countries alone.
        area: Continent or area, else None.
        unit: First-level unit, else None.
    """

    kind: str
    label: str
    codes: frozenset[str] = frozenset()
    area: str | None = None
    unit: Unit | None = None

    def contains(
        self, lat: NDArray[np.float64], lon: NDArray[np.float64], codes: NDArray[np.object_]
    ) -> NDArray[np.bool_]:
        """Tell which positions fit, from latitudes, longitudes and country codes, each of shape (n,)."""
        if self.unit is not None:
            return in_unit(self.unit, lat, lon, codes)
        if self.area is not None:
            return in_area(self.area, codes, lon)
        fits: NDArray[np.bool_] = np.isin(codes.astype(str), sorted(self.codes))
        return fits


def find_clue(tokens: Sequence[str]) -> Clue | None:
    """Return what plain words mean as a whole, or None where they name no place and no fact of countries.

    Args:
        tokens: One to six words in small ASCII letters, such as ("left", "hand", "traffic").

    Raises:
        UsageError: They do, but what they mean for a place is not clear; the message says what to write.

    >>> find_clue(["cyrillic", "signs"]).label
    'Cyrillic script (12 countries)'
    """
    phrase = " ".join(tokens)
    if _STEERING.fullmatch(phrase):
        raise UsageError(
            f"{phrase!r} says where the wheel of a car is, which is on the other side than traffic; write "
            '"left-hand traffic" or "right-hand traffic" for the side of the road'
        )
    if side := _DRIVING.fullmatch(phrase):
        left = "left" in (side[1], side[2])
        codes = LEFT_HAND_TRAFFIC if left else frozenset(countries()) - LEFT_HAND_TRAFFIC
        return Clue("driving", f"{'left' if left else 'right'}-hand traffic ({len(codes)} countries)", codes)
    if len(tokens) > 1 and tokens[-1] in _WRITTEN:
        return _written(" ".join(tokens[:-1]))
    return _named(phrase)


def find_unit_clue(phrase: str) -> Clue | None:
    """Return the state or province that a phrase names, or None.

    Raises:
        UsageError: Several countries have one; the message says what to write.
    """
    if len(phrase) < 4 or phrase in _DIRECTIONS:
        return None
    try:
        unit = find_unit(phrase)
    except UsageError as error:
        raise UsageError(f"--hint: {error} with --region, or name the country") from error
    return None if unit is None else Clue("place", str(unit), unit=unit)


def _named(phrase: str) -> Clue | None:
    if is_constituent(phrase) and (unit := find_unit(phrase)) is not None:
        return Clue("place", str(unit), unit=unit)
    if clue := _places().get(phrase):
        return clue
    return _script(phrase) if phrase in _only_scripts() else None


def _written(name: str) -> Clue | None:
    """Return what "<name> script" or "<name> signs" means: a script, a language, else a nation's signs."""
    if name in ("latin", "roman"):
        raise UsageError(
            "Latin letters are written in most countries, so they tell no place; name a language "
            '("Spanish signs"), or answer only inside a region with --region'
        )
    if name in LANGUAGES:
        codes = frozenset(LANGUAGES[name].split())
        return Clue("language", f"{name.capitalize()} language ({_counted(codes)})", codes)
    return _script(name) or (_places().get(name) if name in _adjectives() else None)


def _script(name: str) -> Clue | None:
    script = SCRIPT_NAMES.get(name) or next((known for known in SCRIPTS if known.lower() == name), None)
    if script is None:
        return None
    codes = frozenset(SCRIPTS[script].split())
    return Clue("script", f"{script} script ({_counted(codes)})", codes)


def _counted(codes: frozenset[str]) -> str:
    return f"{len(codes)} countries" if len(codes) > 1 else countries()[next(iter(codes))].name


@cache
def _adjectives() -> frozenset[str]:
    return frozenset(word.replace("_", " ") for words in NATIONALITIES.values() for word in words.split())


@cache
def _only_scripts() -> frozenset[str]:
    """Names that mean a script where they stand alone; "Thai" and "Greek" then mean the country."""
    return frozenset([name.lower() for name in SCRIPTS] + list(SCRIPT_NAMES)) - _adjectives()


@cache
def _places() -> dict[str, Clue]:
    """Every name and adjective of a country, continent or area; codes of two and three letters are none."""
    found: dict[str, Clue] = {}
    for name in areas():
        found[_plain(name)] = Clue("place", name, area=name)
    for word, name in AREA_ADJECTIVES.items():
        found[word] = Clue("place", name, area=name)
    for code, words in NATIONALITIES.items():
        for word in words.split():
            found[word.replace("_", " ")] = _country(code)
    for name, code in _by_name().items():
        if len(name) > 3 or name in _SHORT_NAMES:
            found[name] = _country(code)
    return found


def _country(code: str) -> Clue:
    return Clue("place", countries()[code].name, codes=frozenset([code]))
