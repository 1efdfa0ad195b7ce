"""From the summands of a score to the record of a place, a contrast of two, and what concepts mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Contributions
from whyhere.concepts import ConceptLabel
from whyhere.geo import PlaceName, countries
from whyhere.prediction import Answer, Contrast
from whyhere.ranking import CellIndex, UnitIndex
from whyhere.reasons import ConceptContrast, ConceptContribution

MOSTLY = 0.5
"""As few names as hold this much of a concept are its places, where three are enough."""
NOTABLE = 0.15
"""Two names that hold at least this much of it are named all the same."""

_NAMED = 3
_BY_UNIT = frozenset(("AR", "AU", "BR", "CA", "CN", "IN", "KZ", "RU", "US"))  # large: a name says too little
_TINY = 1e-12


def answer_of(
    contributions: Contributions,
    row: int,
    labels: Sequence[ConceptLabel],
    strength: NDArray[np.float64],
    *,
    rank: int | None,
    lat: float,
    lon: float,
    radius_km: float,
    probability: float,
    place: PlaceName,
    how: str = "answer",
    asked: str | None = None,
    asked_km: float | None = None,
    meanings: Mapping[int, str] | None = None,
) -> Answer:
    """Take the score of one place apart: every concept, and the landmarks that have a part in it.

    `row` says which of the places of `contributions` is meant; `labels` names the concepts, and the landmarks
    after them, in the order of the alignment; `strength`, shape (k + s,), says how strongly the photo shows
    each (`strengths`); `meanings` are `ConceptContribution.meaning` of some, by position in `labels`. The
    others are fields of `Answer`.
    """
    values = dict(enumerate(contributions.concepts[row].tolist()))
    if len(contributions.landmark_rows):
        columns = (len(values) + contributions.landmark_rows).tolist()
        values |= dict(zip(columns, contributions.landmarks[row].tolist(), strict=True))
    told = meanings or {}
    concepts = (
        ConceptContribution(
            label.id, label.name, label.group, value, float(strength[column]), label.evidence,
            told.get(column, ""),
        )
        for column, value in values.items()
        for label in (labels[column],)
    )  # fmt: skip
    return Answer(
        rank=rank,
        lat=lat,
        lon=lon,
        radius_km=radius_km,
        probability=probability,
        place=place,
        score=float(contributions.scores[row]),
        concepts=tuple(sorted(concepts, key=lambda part: -part.contribution)),
        remainder=float(contributions.remainder[row]),
        how=how,
        asked=asked,
        asked_km=asked_km,
    )


def contrast(here: Answer, there: Answer) -> Contrast:
    """Subtract the score of another place from the score of a place, summand by summand.

    Both must come from the same photo and release. Swapping the places changes every sign and nothing else.
    """
    other = {part.id: part.contribution for part in there.concepts}
    concepts = (
        ConceptContrast(
            part.id, part.name, part.group, part.contribution - other[part.id], part.strength, part.evidence,
            here=part.contribution, there=other[part.id],
        )
        for part in here.concepts
    )  # fmt: skip
    return Contrast(there, here.score - there.score, tuple(concepts), here.remainder - there.remainder)


def concept_meanings(values: NDArray[np.float32], cells: CellIndex, index: UnitIndex) -> tuple[str, ...]:
    """Name the places where a release has its concepts.

    What counts is how far the map of a concept rises above its mean over the Earth by more than one standard
    deviation, summed over the cells of each country, of the largest countries over each state, by area, which
    counts less where the gallery was only filled: few photos tell what is there.

    Args:
        values: Concepts of every cell, as `Alignment.location_concepts` gives them, float32, shape (m, k).
        cells: The m cells.
        index: How they are shared by countries and units.

    Returns:
        For each concept "mostly Norway and Alaska" where at most three names hold half of it; "most in Chile
        and Peru" where two hold a notable part; else "in many places"; "" for a concept with no map.
    """
    share = cells.prior_km2 / cells.prior_km2.sum()
    rise = values - share @ values
    spread = np.sqrt(share @ rise**2)
    mass = share[:, None] * np.maximum(rise - spread, 0.0)
    names, row_of_unit = _names(index.places.units)
    by_name = np.zeros((len(names), values.shape[1]))
    np.add.at(by_name, row_of_unit[index.unit], index.share[:, None] * mass[index.cell])
    totals = by_name.sum(axis=0)
    by_name /= np.maximum(totals, _TINY)
    return tuple(
        _told(by_name[:, column], names) if spread[column] > _TINY else ""
        for column in range(values.shape[1])
    )


def _names(units: Sequence[tuple[str | None, str | None]]) -> tuple[list[str], NDArray[np.intp]]:
    """Return what units are called here, and which of these names each has."""
    called = []
    for code, unit in units:
        if code is None:
            called.append("the open sea")
        elif code in _BY_UNIT and unit is not None:
            ambiguous = any(country.name == unit for country in countries().values())
            called.append(f"{unit} ({code})" if ambiguous else unit)
        else:
            called.append(countries()[code].name)
    names = list(dict.fromkeys(called))
    row_of = {name: row for row, name in enumerate(names)}
    return names, np.array([row_of[name] for name in called], np.intp)


def _told(shares: NDArray[np.float64], names: Sequence[str]) -> str:
    order = np.argsort(-shares, kind="stable")[:_NAMED]
    for count in range(1, len(order) + 1):
        if shares[order[:count]].sum() >= MOSTLY:
            return f"mostly {_listed([names[row] for row in order[:count]])}"
    if shares[order[:2]].sum() >= NOTABLE:
        return f"most in {_listed([names[row] for row in order[:2]])}"
    return "in many places"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
