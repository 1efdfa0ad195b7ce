"""From the summands of a score to the record of a place, and from two of those to a contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Contributions
from whyhere.concepts import ConceptLabel
from whyhere.geo import PlaceName
from whyhere.prediction import Answer, ConceptContrast, ConceptContribution, Contrast


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

    Args:
        contributions: Summands of the scores of some places.
        row: Which of these places.
        labels: Names of the concepts, and of the landmarks after them, in the order of the alignment.
        strength: How strongly the photo shows each, shape (k + s,); see `strengths`.
        rank: See `Answer`, as for the others below.
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        radius_km: Radius that `probability` speaks of.
        probability: Probability within the radius.
        place: What the point is called.
        how: How the point was chosen.
        asked: What was asked for.
        asked_km: How far the point is from it.
        meanings: `ConceptContribution.meaning` of some, by position in `labels`.
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
