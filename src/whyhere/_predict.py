"""From the code of a photo to a prediction, and from a prediction to its explanation.

code -> scores -> probabilities of cells -> ranked places -> decompose(places) -> Prediction
explain = Prediction + decompose(places asked for) + the same again for an edited code
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere._hints import Hint, read_hint
from whyhere._parts import Parts
from whyhere.alignment import ImageCode
from whyhere.errors import UsageError
from whyhere.explain import Plan, Where, answer_of, contrast, strengths
from whyhere.geo import LatLon, Region, cell_string, great_circle_km, parse_region, place_names
from whyhere.prediction import (
    Answer,
    Assumptions,
    Explanation,
    HintWords,
    Intervention,
    Prediction,
    SurfaceCell,
)
from whyhere.ranking import (
    UnitIndex,
    best_points,
    cell_probabilities,
    country_shares,
    hint_log_prior,
    rank_places,
    surroundings,
)
from whyhere.stats import total_variation

_SURFACE_MASS = 0.99  # the surface of a report leaves out cells beyond this much probability


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be answered, and what is assumed: checked once for all photos of a call.

    Attributes:
        top: How many different places at most.
        radius_km: Points nearer than this belong to the same place.
        allowed: Points that may be answered, shape (n,), or None for all.
        region: Name of the region that answers are restricted to, or None.
        hint: What the asker says about the photo, and which of its words count, or None.
        log_prior: What the hint adds to the logarithm of the weight of every point, shape (n,), or None.
        countries: How the cells that may be answered are shared by countries.
    """

    top: int
    radius_km: float
    allowed: NDArray[np.bool_] | None
    region: str | None
    hint: HintWords | None
    log_prior: NDArray[np.float64] | None
    countries: UnitIndex


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prediction says about the photo itself: its name, GPS position and a small JPEG of it."""

    name: str = "photo"
    exif_gps: LatLon | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A gallery point to be taken apart; see `Answer` for the fields."""

    point: int
    radius_km: float
    probability: float
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A prediction with the arrays it was made from.

    Attributes:
        code: The code of the photo.
        scores: Score of every gallery point, shape (n,).
        best: Best-scoring point of every cell, shape (m,).
        probabilities: Probability of every cell, shape (m,).
        points: Gallery point of every answer.
        prediction: The answers.
    """

    code: ImageCode
    scores: NDArray[np.float32]
    best: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    points: tuple[int, ...]
    prediction: Prediction


def scope_of(
    parts: Parts,
    *,
    top: int = 5,
    radius_km: float | None = None,
    region: Region | str | None = None,
    hint: str | None = None,
) -> Scope:
    """Check what is asked for; arguments and errors are those of `Locator.locate`."""
    if top < 1:
        raise UsageError(f"top must be at least 1, not {top}")
    radius_km = parts.ranking.radius_km if radius_km is None else radius_km
    if not 0 < radius_km <= 20_000:
        raise UsageError(f"radius_km must lie between 0 and 20000 km, not {radius_km}")
    allowed, countries = None, parts.countries
    if region is not None:
        region = parse_region(region) if isinstance(region, str) else region
        allowed = region.contains(parts.gallery.lat, parts.gallery.lon)
        if not allowed.any():
            raise UsageError(
                f"none of the {len(allowed)} places that can be answered lies in {region.name}; "
                "choose a larger region"
            )
        countries = UnitIndex.build(countries.places, parts.cells, allowed=allowed)
    words = log_prior = None
    if hint is not None:
        understood = read_hint(hint)
        words = HintWords(hint, understood.known, understood.unknown)
        log_prior = _log_prior(parts, understood)
    name = None if region is None else region.name
    return Scope(top, radius_km, allowed, name, words, log_prior, countries)


def _log_prior(parts: Parts, hint: Hint) -> NDArray[np.float64]:
    """Turn a hint into a prior over the points of the gallery."""
    gallery, of_words = parts.gallery, None
    if hint.words is not None:
        from whyhere.concepts import open_vocabulary

        # Equal width is not enough: other towers of width 512 mean other things by their directions.
        words_for, own = open_vocabulary().tower, parts.tower_name
        if own != words_for:
            raise UsageError(
                f"release {parts.card.name} takes no words as hints, only places, scripts and the "
                f"side of traffic: the known words are directions of the image tower {words_for}, and "
                f"its own is {own or 'another one'}"
            )
        direction = parts.alignment.location_direction(hint.words.pattern)
        of_words = hint_log_prior(parts.alignment.location_cosines(direction, gallery.embeddings))
    units = parts.countries.places
    codes = np.array([code for code, _ in units.units], object)[units.of_place]
    return hint.log_prior(gallery.lat, gallery.lon, codes, of_words)


def probabilities_of(
    parts: Parts,
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None = None,
    log_prior: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Spread probability over the cells as the release does, shape (m,)."""
    temperature, background = parts.ranking.temperature, parts.ranking.background
    return cell_probabilities(
        scores,
        parts.cells,
        temperature=temperature,
        background=background,
        allowed=allowed,
        log_prior=log_prior,
    )


def predict(parts: Parts, code: ImageCode, scope: Scope, shown: Shown) -> Found:
    """Answer the code of a photo."""
    scores = parts.alignment.scores(code, parts.gallery.embeddings)
    best = best_points(scores, parts.cells, allowed=scope.allowed)
    anywhere = unhinted = probabilities = probabilities_of(parts, scores)
    of_region = 1.0
    if scope.allowed is not None:
        unhinted = probabilities = probabilities_of(parts, scores, scope.allowed)
        # A cell on the border of the region counts by its points inside.
        of_region = float(anywhere @ parts.cells.mean(scope.allowed.astype(np.float64)))
    if scope.log_prior is not None:
        probabilities = probabilities_of(parts, scores, scope.allowed, scope.log_prior)
    places = rank_places(
        probabilities,
        scores,
        parts.cells,
        top=scope.top,
        radius_km=scope.radius_km,
        allowed=scope.allowed,
        best=best,
    )
    answers = decompose(
        parts,
        code,
        [Spot(one.point, one.radius_km, one.probability, row + 1) for row, one in enumerate(places)],
    )
    # Region and hint are the asker's knowledge, not the photo's: neither may make a place stand out.
    unaided = answers[0].probability
    if scope.log_prior is not None:
        area = surroundings(places[0].point, places[0].radius_km, best, parts.cells)
        unaided = min(unaided, float(unhinted[area].sum()))
    unaided *= of_region
    assumed = scope.region is not None or scope.hint is not None
    prediction = Prediction(
        photo=shown.name,
        release=f"{parts.card.name} {parts.card.version}",
        abstained=unaided < parts.ranking.abstain_below,
        exif_gps=shown.exif_gps,
        answers=answers,
        surface=_surface(parts, probabilities),
        thumbnail=shown.thumbnail,
        assumptions=Assumptions(scope.region, scope.hint, unaided) if assumed else Assumptions(),
        card=parts.card,
        countries=country_shares(probabilities, scope.countries),
    )
    return Found(code, scores, best, probabilities, tuple(one.point for one in places), prediction)


def decompose(parts: Parts, code: ImageCode, spots: Sequence[Spot]) -> tuple[Answer, ...]:
    """Take the scores of some places apart."""
    gallery, points = parts.gallery, [spot.point for spot in spots]
    sums = parts.alignment.contributions(code, gallery.embeddings[points])
    names, strength = place_names(gallery.lat[points], gallery.lon[points]), strengths(code)
    return tuple(
        answer_of(
            sums,
            row,
            parts.labels,
            strength,
            rank=spot.rank,
            lat=float(gallery.lat[spot.point]),
            lon=float(gallery.lon[spot.point]),
            radius_km=spot.radius_km,
            probability=spot.probability,
            place=names[row],
            meanings=parts.meanings(code, spot.point),
        )
        for row, spot in enumerate(spots)
    )


def _surface(parts: Parts, probabilities: NDArray[np.float64]) -> tuple[SurfaceCell, ...]:
    order = np.argsort(-probabilities, kind="stable")
    enough = int(np.searchsorted(np.cumsum(probabilities[order]), _SURFACE_MASS)) + 1
    cells = parts.cells.cells
    return tuple(
        SurfaceCell(cell_string(int(cells[row])), float(probabilities[row])) for row in order[:enough]
    )


def explain(
    parts: Parts,
    code: ImageCode,
    scope: Scope,
    shown: Shown,
    *,
    at: Where | None,
    versus: Where | None,
    plan: Plan,
) -> Explanation:
    """Answer one photo and say why.

    Raises:
        UsageError: A place that was asked for is not among what can be answered, or both places are one,
            or the intervention leaves nothing to answer from.
    """
    found = predict(parts, code, scope, shown)
    point, here = _place(parts, at, found, scope)
    versus_there = None
    if versus is not None:
        other, there = _place(parts, versus, found, scope)
        if other == point:
            raise UsageError(
                f"versus {versus.asked}: its point is the very one that is explained; name another place"
            )
        versus_there = contrast(here, there)
    intervention = _intervene(parts, found, scope, shown, plan, here, point) if plan else None
    return Explanation(found.prediction, here, versus_there, intervention)


def _place(parts: Parts, where: Where | None, found: Found, scope: Scope) -> tuple[int, Answer]:
    """Find the gallery point that is meant, among those that may be answered, and take its score apart."""
    how, asked, km = "answer", None if where is None else where.asked, None
    if where is None or where.rank is not None:
        rank = 1 if where is None or where.rank is None else where.rank
        if rank > len(found.points):
            found_all = len(found.points) < scope.top
            why = "no other place stands apart" if found_all else f"ask for more: --top {rank}"
            raise UsageError(f"there is no answer {rank}, only {len(found.points)}; {why}")
        point = found.points[rank - 1]
    else:
        gallery = parts.gallery
        rows = np.arange(len(gallery)) if scope.allowed is None else np.flatnonzero(scope.allowed)
        try:
            row, km = where.point(gallery.lat[rows], gallery.lon[rows], found.scores[rows])
        except UsageError as error:
            if scope.region is None:
                raise
            raise UsageError(f"{error}: answers are restricted to {scope.region}") from error
        point, how = int(rows[row]), "best in" if km is None else "nearest"
    return point, msgspec.structs.replace(
        _answer_at(parts, point, found, scope), how=how, asked=asked, asked_km=km
    )


def _answer_at(parts: Parts, point: int, found: Found, scope: Scope) -> Answer:
    """Return the answer at a point, or what would be one."""
    if point in found.points:
        return found.prediction.answers[found.points.index(point)]
    area = surroundings(point, scope.radius_km, found.best, parts.cells)
    probability = float(found.probabilities[area].sum())
    return decompose(parts, found.code, [Spot(point, scope.radius_km, probability)])[0]


def _intervene(
    parts: Parts, found: Found, scope: Scope, shown: Shown, plan: Plan, here: Answer, point: int
) -> Intervention:
    """Answer again with changed concepts and measure how far the answers moved."""
    changed, again = plan.apply(found.code), found
    if changed.code is not found.code:
        again = predict(parts, changed.code, scope, shown)
        if not np.ptp(again.scores):
            raise UsageError(
                "after this change every place scores the same, so nothing is left to answer from; "
                "keep some concepts or the remainder"
            )
    before, after = found.prediction.answers[0], again.prediction.answers[0]
    area = surroundings(found.points[0], before.radius_km, found.best, parts.cells)
    return Intervention(
        changes=changed.changes,
        untouched=changed.untouched,
        only=changed.only,
        remainder_removed=changed.remainder_removed,
        after=again.prediction,
        here=msgspec.structs.replace(
            _answer_at(parts, point, again, scope), how=here.how, asked=here.asked, asked_km=here.asked_km
        ),
        shift_km=float(great_circle_km(before.lat, before.lon, after.lat, after.lon)),
        radius_km=before.radius_km,
        probability_before=float(found.probabilities[area].sum()),
        probability_after=float(again.probabilities[area].sum()),
        total_variation=total_variation(found.probabilities, again.probabilities),
    )
