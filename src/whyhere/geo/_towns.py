"""Which town a name means, offline, from GeoNames."""

from __future__ import annotations

import re
import string
import unicodedata

import numpy as np

from whyhere.errors import UsageError
from whyhere.geo._countries import countries, find_country
from whyhere.geo._gazetteer import Gazetteer, gazetteer
from whyhere.geo._latlon import LatLon

_PLAIN_INITIALS = (string.ascii_letters + string.digits).encode()


def find_town(text: str) -> LatLon | None:
    """Return the most populous town of a name, else of a name that begins with it; None where there is none.

    Args:
        text: The name, where there are several with region or country after a comma: "Springfield, Illinois".
    """
    name, *within = (_plain(part) for part in text.split(","))
    if not name:
        return None
    table = gazetteer()
    names = {row: _plain(table.name(row)) for row in _may_begin(table, name[0])}
    equal = [row for row, known in names.items() if known == name]
    longer = [row for row, known in names.items() if known.startswith(f"{name} ")]
    for rows in (equal, longer):
        there = [row for row in rows if all(_lies_in(row, part) for part in within if part != name)]
        if there:
            best = max(there, key=lambda row: int(table.population[row]))
            return LatLon(float(table.lat[best]), float(table.lon[best]))
    return None


def _may_begin(table: Gazetteer, letter: str) -> list[int]:
    """Return the places whose name may begin with a letter: folding all names takes a third of a second."""
    initials = np.frombuffer(table._names + b"\0", np.uint8)[table._name_at[:-1]]
    # What is no ASCII letter or digit may be an accented letter, or punctuation before the letter.
    other = ~np.isin(initials, np.frombuffer(_PLAIN_INITIALS, np.uint8))
    wanted = (initials == ord(letter)) | (initials == ord(letter.upper())) if letter.isascii() else other
    return np.flatnonzero(wanted | other).tolist()


def _lies_in(row: int, part: str) -> bool:
    """Tell whether a town lies in the region or country of that name."""
    table = gazetteer()
    admin1 = table.admin1(row) or ""
    initials = "".join(word[0] for word in admin1.split() if word[0].isupper())  # D.C., NY, BC
    if part == _plain(admin1) or (len(initials) > 1 and part.replace(" ", "") == _plain(initials)):
        return True
    try:
        return find_country(part).code == countries()[str(table.country[row])].code
    except UsageError:
        return False


def _plain(text: str) -> str:
    """Fold case, accents and punctuation away."""
    if text.isascii() and text.isalpha():  # nine names in ten: folding all of them must not take a second
        return text.lower()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
