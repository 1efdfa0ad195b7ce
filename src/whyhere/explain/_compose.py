"""From the summands of a score to the records of an explanation, and from two of those to a contrast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Contributions
from whyhere.concepts import ConceptLabel
from whyhere.explain._explanation import (
    ConceptContrast,
    Contrast,
    GroupContrast,
    GroupParts,
    PlaceParts,
)
from whyhere.geo import PlaceName
from whyhere.prediction import ConceptContribution

Part = TypeVar("Part", ConceptContribution, ConceptContrast)


def summands(
    contributions: Contributions,
    row: int,
    labels: Sequence[ConceptLabel],
    strength: NDArray[np.float64],
    meanings: Mapping[int, str] | None = None,
) -> list[ConceptContribution]:
    """Name the summands of the score of one place: every concept, and the landmarks that have a part in it.

    Args:
        contributions: Summands of the scores of some places.
        row: Which of these places.
        labels: Names of the concepts, and of the landmarks after them, in the order of the alignment.
        strength: How strongly the photo shows each, shape (k + s,); see `strengths`.
        meanings: `ConceptContribution.meaning` of some, by position in `labels`.
    """
    k = contributions.concepts.shape[1]
    values = dict(enumerate(contributions.concepts[row].tolist()))
    if len(contributions.landmark_rows):
        columns = (k + contributions.landmark_rows).tolist()
        values |= dict(zip(columns, contributions.landmarks[row].tolist(), strict=True))
    return [
        ConceptContribution(
            labels[column].id,
            labels[column].name,
            labels[column].group,
            value,
            float(strength[column]),
            labels[column].evidence,
            (meanings or {}).get(column, ""),
        )
        for column, value in values.items()
    ]


def place_parts(
    contributions: Contributions,
    row: int,
    concepts: Sequence[ConceptLabel],
    strength: NDArray[np.float64],
    *,
    lat: float,
    lon: float,
    place: PlaceName,
    radius_km: float,
    probability: float,
    how: str = "answer",
    asked: str | None = None,
    asked_km: float | None = None,
    rank: int | None = None,
    meanings: Mapping[int, str] | None = None,
) -> PlaceParts:
    """Take the score of one place apart.

    Args:
        contributions: Summands of the scores of some places.
        row: Which of these places.
        concepts: Names of the concepts, and of the landmarks after them, in the order of the alignment.
        strength: How strongly the photo shows each concept, shape (k,); see `strengths`.
        lat: See `PlaceParts`, as for the others below.
        lon: Longitude in degrees.
        place: What the point is called.
        radius_km: Radius that `probability` speaks of.
        probability: Probability within the radius.
        how: How the point was chosen.
        asked: What was asked for.
        asked_km: How far the point is from it.
        rank: Rank of the answer at the point.
        meanings: `ConceptContribution.meaning` of some, by position in `concepts`.
    """
    parts = summands(contributions, row, concepts, strength, meanings)
    groups = tuple(
        GroupParts(name, total, members)
        for name, total, members in _grouped(parts, lambda part: part.contribution)
    )
    return PlaceParts(
        lat=lat,
        lon=lon,
        place=place,
        how=how,
        asked=asked,
        asked_km=asked_km,
        rank=rank,
        radius_km=radius_km,
        probability=probability,
        score=float(contributions.scores[row]),
        groups=groups,
        remainder=float(contributions.remainder[row]),
    )


def contrast(here: PlaceParts, there: PlaceParts) -> Contrast:
    """Subtract the score of another place from the score of a place, summand by summand.

    Both must come from the same photo and release. Swapping the places changes every sign and nothing else.
    """
    other = {part.id: part.contribution for part in there.concepts}
    parts = [
        ConceptContrast(
            part.id, part.name, part.group, part.strength, part.contribution, other[part.id],
            part.contribution - other[part.id], part.evidence,
        )
        for part in here.concepts
    ]  # fmt: skip
    groups = tuple(
        GroupContrast(name, total, members)
        for name, total, members in _grouped(parts, lambda part: part.difference)
    )
    return Contrast(there, here.score - there.score, groups, here.remainder - there.remainder)


def _grouped(
    parts: Iterable[Part], value: Callable[[Part], float]
) -> list[tuple[str, float, tuple[Part, ...]]]:
    """Return name, subtotal and members of every group, the largest first at both levels."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    # fsum does not depend on the order, so that swapping two places only changes signs.
    totals = {name: math.fsum(map(value, members)) for name, members in groups.items()}
    return [
        (name, totals[name], tuple(sorted(groups[name], key=lambda part: (-value(part), part.id))))
        for name in sorted(groups, key=lambda name: (-totals[name], name))
    ]
