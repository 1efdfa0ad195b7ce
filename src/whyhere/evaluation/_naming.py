"""Whether a system named the right country, first-level unit and city."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere._text import folded
from whyhere.errors import UsageError
from whyhere.evaluation._guesses import Guess
from whyhere.geo import PlaceName, find_country, place_names
from whyhere.tables import Query

LEVELS = ("country", "region", "city")

_NO_CITY = re.compile(r"[\d,]+ km from |Open sea, |At sea, ")


@dataclass(frozen=True, slots=True)
class Naming:
    """Names compared, photo by photo.

    Attributes:
        true_country: ISO code of the true country, None on the open sea; one a photo.
        said_country: ISO code of the country that the system named, or that its position lies in.
        known: For each of `LEVELS`, whether there is a truth to compare with, bool, shape (n,).
        right: For each of `LEVELS`, whether the system is right, bool, shape (n,).
        from_table: For each of `LEVELS`, how many truths the table gave; the others come from GeoNames.
    """

    true_country: tuple[str | None, ...]
    said_country: tuple[str | None, ...]
    known: dict[str, NDArray[np.bool_]]
    right: dict[str, NDArray[np.bool_]]
    from_table: dict[str, int]


def compare_names(queries: Sequence[Query], guesses: Sequence[Guess | None]) -> Naming:
    """Compare the names of the first answers with the truth.

    The true country is the table's where it has one, else that of the true position. The system's is the one
    it names, else that of its position; both as ISO codes, so that spelling does not matter. Where the
    table has a region or city, it is compared with what the system says, else with the name of its position;
    where the table has none, the names of both positions are compared, whatever the system says, because two
    gazetteers never spell alike. A region counts only in the right country, a city only in the right
    region where both are known.

    Args:
        queries: The photos.
        guesses: The first answer for each, or None.
    """
    true_names = _names_at([(query.lat, query.lon) for query in queries])
    said_names = _names_of(guesses)
    known = {level: np.zeros(len(queries), bool) for level in LEVELS}
    right = {level: np.zeros(len(queries), bool) for level in LEVELS}
    from_table = dict.fromkeys(LEVELS, 0)
    true_codes: list[str | None] = []
    said_codes: list[str | None] = []
    for row, (query, guess) in enumerate(zip(queries, guesses, strict=True)):
        truth, there = true_names[row], said_names[row]
        listed = _code(query.country)
        true_code = listed or truth.country_code
        said_code = (_code(guess.country) if guess else None) or (there.country_code if there else None)
        from_table["country"] += listed is not None
        true_codes.append(true_code)
        said_codes.append(said_code)
        known["country"][row] = true_code is not None
        right["country"][row] = true_code is not None and true_code == said_code

        true_region, said_region = _pair(
            query.region, guess.region if guess else None, truth.admin1, there.admin1 if there else None
        )
        true_city, said_city = _pair(query.city, guess.city if guess else None, _city(truth), _city(there))
        from_table["region"] += query.region is not None
        from_table["city"] += query.city is not None
        same_region = bool(true_region) and true_region == said_region
        known["region"][row] = bool(true_region)
        right["region"][row] = right["country"][row] and same_region
        known["city"][row] = bool(true_city)
        right["city"][row] = (
            right["country"][row]
            and bool(true_city)
            and true_city == said_city
            and (same_region or not (true_region and said_region))
        )
    return Naming(tuple(true_codes), tuple(said_codes), known, right, from_table)


def _names_of(guesses: Sequence[Guess | None]) -> list[PlaceName | None]:
    """Name the positions of guesses; None where there is none."""
    places = {
        row: (guess.lat, guess.lon)
        for row, guess in enumerate(guesses)
        if guess is not None and guess.lat is not None and guess.lon is not None
    }
    named: list[PlaceName | None] = [None] * len(guesses)
    for row, name in zip(places, _names_at(list(places.values())), strict=True):
        named[row] = name
    return named


def _names_at(places: Sequence[tuple[float, float]]) -> list[PlaceName]:
    """Name latitudes and longitudes, each different place once: a gallery gives the same ones again."""
    different = list(dict.fromkeys(places))
    names = place_names([lat for lat, _ in different], [lon for _, lon in different]) if different else []
    by_place = dict(zip(different, names, strict=True))
    return [by_place[place] for place in places]


def _pair(listed: str | None, said: str | None, truth: str | None, there: str | None) -> tuple[str, str]:
    """Return the true and the said name to compare, folded; empty where there is none."""
    if listed is not None:
        return folded(listed or ""), folded(said or there or "")
    return folded(truth or ""), folded(there or "")


def _city(place: PlaceName | None) -> str | None:
    """Return the city that a position is called after; None far from every place."""
    return None if place is None or _NO_CITY.match(place.name) else place.name


def _code(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return find_country(text).code
    except UsageError:
        return None
