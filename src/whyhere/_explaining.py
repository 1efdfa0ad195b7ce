"""Why here, why not there, and what if: the answers to one code, taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere._answering import Answered, Answerer, Query, Shot
from whyhere._assembly import Parts
from whyhere.alignment import ImageCode
from whyhere.errors import MissingFileError, UsageError
from whyhere.explain import (
    Explanation,
    Intervention,
    Plan,
    Where,
    answer_of,
    best_points,
    contrast,
    parse_where,
    plan,
    strengths,
    surroundings,
    total_variation,
)
from whyhere.geo import LatLon, Region, great_circle_km, place_names
from whyhere.images import Photo
from whyhere.prediction import Answer
from whyhere.releases import Release, asset_path

if TYPE_CHECKING:
    from whyhere.encoders._tracing import TracingTower

AnyPlace = Where | Region | LatLon | tuple[float, float] | str | int
"""Whatever `parse_where` understands."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained.

    Attributes:
        at: The place to explain; None for the first answer.
        versus: The place to compare it with, or None.
        plan: The intervention; false where there is none.
    """

    at: Where | None
    versus: Where | None
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Spot:
    """A gallery point, and how it was chosen."""

    point: int
    how: str
    asked: str | None
    asked_km: float | None


def question(
    answerer: Answerer,
    *,
    at: AnyPlace | None,
    versus: AnyPlace | None,
    without: Sequence[str],
    only: Sequence[str],
    set_: Mapping[str, float] | None,
    remainder: bool,
) -> Question:
    """Check what is to be explained; arguments and errors are those of `Locator.explain`."""
    return Question(
        at=None if at is None else parse_where(at),
        versus=None if versus is None else parse_where(versus),
        plan=plan(answerer.parts.labels, without=without, only=only, set_=set_, remainder=remainder),
    )


def explain(answerer: Answerer, code: ImageCode, query: Query, question: Question, shot: Shot) -> Explanation:
    """Answer one photo and say why.

    Raises:
        UsageError: A place that was asked for is not among what can be answered, or both places are one,
            or the intervention leaves nothing to answer from.
    """
    found = answerer.answer(code, query, shot)
    here = _spot(answerer, question.at, found, query)
    spots = [here]
    if question.versus is not None:
        spots.append(_spot(answerer, question.versus, found, query))
        if spots[1].point == here.point:
            raise UsageError(
                f"versus {question.versus.asked}: its point is the very one that is explained; "
                "name another place"
            )
    explained = _explain_spots(answerer, spots, found, query)
    intervention = None
    if question.plan:
        intervention = _intervene(answerer, found, query, question.plan, here, shot)
    return Explanation(
        prediction=found.prediction,
        here=explained[0],
        contrast=contrast(*explained) if question.versus is not None else None,
        intervention=intervention,
    )


def with_regions(
    explanation: Explanation, photo: Photo, parts: Parts, tower: TracingTower, *, count: int
) -> Explanation:
    """Add pictures of the parts of a photo that raise the concepts which speak most for the place."""
    from whyhere.explain._region_picture import region_pictures

    # What the photo shows little of has no region, even where that speaks for the place.
    known = frozenset(parts.alignment.concept_ids)  # a landmark is the whole photo
    speaking = [
        part
        for part in explanation.here.concepts
        if part.contribution > 0 and part.strength > 0 and part.id in known
    ]
    if not speaking:
        return explanation
    pictures = region_pictures(
        tower,
        photo.image,
        parts.alignment,
        [(concept.id, concept.name) for concept in speaking[:count]],
        spec=parts.preprocessing,
        unit=parts.view_average != "logits",
    )
    return msgspec.structs.replace(explanation, regions=pictures)


def open_tracing(release: Release | None, *, threads: int | None) -> TracingTower:
    """Open the image tower of a release a second time, so that regions can be read off it.

    Raises:
        MissingFileError: The tower is missing, or is not one that can be traced.
    """
    from whyhere.encoders._tracing import TracingTower

    asset = release.config.image_tower.asset if release is not None else ""
    if not asset:
        raise MissingFileError(
            "regions of a photo can be shown only by releases whose image tower whyhere has fetched itself, "
            "such as base"
        )
    return TracingTower(asset_path(asset) / "image_tower.onnx", threads=threads)


def _intervene(
    answerer: Answerer, found: Answered, query: Query, changes: Plan, here: _Spot, shot: Shot
) -> Intervention:
    """Answer again with changed concepts and measure how far the answers moved."""
    changed = changes.apply(found.code)
    again = found
    if changed.code is not found.code:
        again = answerer.answer(changed.code, query, shot)
        if not np.ptp(again.scores):
            raise UsageError(
                "after this change every place scores the same, so nothing is left to answer from; "
                "keep some concepts or the remainder"
            )
    (explained,) = _explain_spots(answerer, [here], again, query)
    before, after = found.prediction.answers[0], again.prediction.answers[0]
    area = _area(answerer, found, query, found.points[0], before.radius_km)
    return Intervention(
        changes=changed.changes,
        untouched=changed.untouched,
        only=changed.only,
        remainder_removed=changed.remainder_removed,
        after=again.prediction,
        here=explained,
        shift_km=float(great_circle_km(before.lat, before.lon, after.lat, after.lon)),
        radius_km=before.radius_km,
        probability_before=float(found.probabilities[area].sum()),
        probability_after=float(again.probabilities[area].sum()),
        total_variation=total_variation(found.probabilities, again.probabilities),
    )


def _area(
    answerer: Answerer, found: Answered, query: Query, point: int, radius_km: float
) -> NDArray[np.bool_]:
    """Tell which cells an answer at a point speaks of, shape (m,)."""
    best = best_points(found.scores, answerer.cells, allowed=query.allowed)
    return surroundings(point, radius_km, best, answerer.cells)


def _spot(answerer: Answerer, where: Where | None, found: Answered, query: Query) -> _Spot:
    """Find the gallery point that is meant, among those that may be answered."""
    if where is None:
        return _Spot(found.points[0], "answer", None, None)
    if where.rank is not None:
        if where.rank > len(found.points):
            found_all = len(found.points) < query.top
            why = "no other place stands apart" if found_all else f"ask for more: --top {where.rank}"
            raise UsageError(f"there is no answer {where.rank}, only {len(found.points)}; {why}")
        return _Spot(found.points[where.rank - 1], "answer", where.asked, None)
    gallery = answerer.parts.gallery
    rows = np.arange(len(gallery)) if query.allowed is None else np.flatnonzero(query.allowed)
    try:
        row, km = where.point(gallery.lat[rows], gallery.lon[rows], found.scores[rows])
    except UsageError as error:
        if query.region is None:
            raise
        raise UsageError(f"{error}: answers are restricted to {query.region}") from error
    return _Spot(int(rows[row]), "best in" if km is None else "nearest", where.asked, km)


def _explain_spots(
    answerer: Answerer, spots: Sequence[_Spot], found: Answered, query: Query
) -> tuple[Answer, ...]:
    """Take the scores of some points apart."""
    gallery = answerer.parts.gallery
    points = [spot.point for spot in spots]
    names = place_names(gallery.lat[points], gallery.lon[points])
    strength = strengths(found.code)
    explained = []
    for spot, name in zip(spots, names, strict=True):
        if spot.point in found.points:
            row, parts = found.points.index(spot.point), found.parts
            answer = found.prediction.answers[row]
            rank, radius_km, probability = answer.rank, answer.radius_km, answer.probability
        else:
            embedding = gallery.embeddings[[spot.point]]
            row, parts = 0, answerer.parts.alignment.contributions(found.code, embedding)
            rank, radius_km = None, query.radius_km
            area = _area(answerer, found, query, spot.point, radius_km)
            probability = float(found.probabilities[area].sum())
        explained.append(
            answer_of(
                parts,
                row,
                answerer.parts.labels,
                strength,
                lat=float(gallery.lat[spot.point]),
                lon=float(gallery.lon[spot.point]),
                place=name,
                radius_km=radius_km,
                probability=probability,
                how=spot.how,
                asked=spot.asked,
                asked_km=spot.asked_km,
                rank=rank,
                meanings=answerer.meanings(found.code, spot.point),
            )
        )
    return tuple(explained)
