"""From the code of a photo to answers, and from a photo to what codes are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whyhere._assembly import Parts
from whyhere._hints import Hint, read_hint
from whyhere.alignment import Contributions, ImageCode
from whyhere.errors import UsageError
from whyhere.explain import answer_of, best_points, concept_meanings, strengths, surroundings
from whyhere.gallery import PlaceUnits
from whyhere.geo import (
    LatLon,
    Region,
    cell_string,
    great_circle_km,
    parse_region,
    place_names,
)
from whyhere.images import Photo, thumbnail
from whyhere.prediction import (
    Assumptions,
    HintWords,
    Prediction,
    SurfaceCell,
)
from whyhere.ranking import (
    CellIndex,
    UnitIndex,
    cell_probabilities,
    country_shares,
    hint_log_prior,
    rank_places,
)

_SURFACE_MASS = 0.99  # the surface of a report leaves out cells beyond this much probability


@dataclass(frozen=True, slots=True)
class Query:
    """What one call asks for, checked once for all photos.

    Attributes:
        top: How many different places at most.
        radius_km: Points nearer than this belong to the same place.
        allowed: Points that may be answered, shape (n,), or None for all.
        hint: What the asker says about the photo, and which of its words count, or None.
        log_prior: What the hint adds to the logarithm of the weight of every point, shape (n,), or None.
        region: Name of the region that answers are restricted to, or None.
        with_thumbnail: Whether answers keep a small copy of the photo.
        units: How the cells are shared by countries, or None for all points.
    """

    top: int
    radius_km: float
    allowed: NDArray[np.bool_] | None = None
    hint: HintWords | None = None
    log_prior: NDArray[np.float64] | None = None
    region: str | None = None
    with_thumbnail: bool = False
    units: UnitIndex | None = None


@dataclass(frozen=True, slots=True)
class Shot:
    """What an answer says about the photo itself.

    Attributes:
        name: What the photo is called.
        exif_gps: Position that its metadata claims.
        thumbnail: A small JPEG of it.
    """

    name: str
    exif_gps: LatLon | None = None
    thumbnail: bytes | None = None

    @classmethod
    def of(cls, photo: Photo, query: Query) -> Shot:
        """Note what is to be said about a photo."""
        return cls(photo.name, photo.exif_gps, thumbnail(photo.image) if query.with_thumbnail else None)


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to one code, with the arrays they were made from.

    Attributes:
        code: The code.
        scores: Score of every gallery point, shape (n,).
        probabilities: Probability of every cell, shape (m,).
        points: Gallery point of every answer.
        parts: Summands of the score of every answer.
        prediction: The answers.
    """

    code: ImageCode
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    points: tuple[int, ...]
    parts: Contributions
    prediction: Prediction


class Answerer:
    """Answers codes with the parts of one release.

    Attributes:
        parts: The parts.
        cells: The H3 cells of the gallery.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.cells = CellIndex.build(
            parts.gallery.lat,
            parts.gallery.lon,
            resolution=parts.ranking.cell_resolution,
            added=parts.gallery.added,
            added_weight=parts.ranking.added_weight,
        )

    @cached_property
    def units(self) -> UnitIndex:
        """How the cells are shared by countries and their first-level units."""
        gallery = self.parts.gallery
        return UnitIndex.build(self.parts.units or PlaceUnits.of(gallery.lat, gallery.lon), self.cells)

    @cached_property
    def where_concepts_are(self) -> tuple[str, ...]:
        """Where the release has each of its concepts, in words; from one place of every cell, once."""
        _, first = np.unique(self.cells.cell_of_point, return_index=True)
        values = self.parts.alignment.location_concepts(self.parts.gallery.embeddings[first])
        return concept_meanings(values, self.cells, self.units)

    def query(
        self,
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
        with_thumbnail: bool = False,
    ) -> Query:
        """Check what is asked for; arguments and errors are those of `Locator.locate`."""
        if top < 1:
            raise UsageError(f"top must be at least 1, not {top}")
        radius_km = self.parts.ranking.radius_km if radius_km is None else radius_km
        if not 0 < radius_km <= 20_000:
            raise UsageError(f"radius_km must lie between 0 and 20000 km, not {radius_km}")
        allowed = name = None
        if region is not None:
            region = parse_region(region) if isinstance(region, str) else region
            name = region.name
            allowed = region.contains(self.parts.gallery.lat, self.parts.gallery.lon)
            if not allowed.any():
                raise UsageError(
                    f"none of the {len(allowed)} places that can be answered lies in {region.name}; "
                    "choose a larger region"
                )
        words = log_prior = None
        if hint is not None:
            understood = read_hint(hint)
            words = HintWords(hint, understood.known, understood.unknown)
            log_prior = self._log_prior(understood)
        units = None if allowed is None else UnitIndex.build(self.units.places, self.cells, allowed=allowed)
        return Query(top, radius_km, allowed, words, log_prior, name, with_thumbnail, units)

    def scores(self, code: ImageCode) -> NDArray[np.float32]:
        """Score every point of the gallery, shape (n,)."""
        return self.parts.alignment.scores(code, self.parts.gallery.embeddings)

    def probabilities(
        self,
        scores: NDArray[np.float32],
        *,
        allowed: NDArray[np.bool_] | None = None,
        log_prior: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Spread probability over the cells, shape (m,)."""
        ranking = self.parts.ranking
        return cell_probabilities(
            scores,
            self.cells,
            temperature=ranking.temperature,
            background=ranking.background,
            allowed=allowed,
            log_prior=log_prior,
        )

    def answer(self, code: ImageCode, query: Query, shot: Shot) -> Answered:
        """Answer one photo."""
        gallery, ranking = self.parts.gallery, self.parts.ranking
        scores = self.scores(code)
        anywhere = self.probabilities(scores)
        unhinted, region_probability = anywhere, 1.0
        if query.allowed is not None:
            unhinted = self.probabilities(scores, allowed=query.allowed)
            region_probability = self._probability_of(query.allowed, anywhere)
        probabilities = unhinted
        if query.log_prior is not None:
            probabilities = self.probabilities(scores, allowed=query.allowed, log_prior=query.log_prior)
        places = rank_places(
            probabilities,
            scores,
            self.cells,
            top=query.top,
            radius_km=query.radius_km,
            allowed=query.allowed,
        )
        points = [place.point for place in places]
        parts = self.parts.alignment.contributions(code, gallery.embeddings[points])
        names, strength = place_names(gallery.lat[points], gallery.lon[points]), strengths(code)
        answers = tuple(
            answer_of(
                parts,
                row,
                self.parts.labels,
                strength,
                rank=row + 1,
                lat=float(gallery.lat[place.point]),
                lon=float(gallery.lon[place.point]),
                radius_km=place.radius_km,
                probability=place.probability,
                place=names[row],
                meanings=self.meanings(code, place.point),
            )
            for row, place in enumerate(places)
        )
        standing = answers[0].probability
        if query.log_prior is not None:
            best = best_points(scores, self.cells, allowed=query.allowed)
            area = surroundings(points[0], places[0].radius_km, best, self.cells)
            standing = min(standing, float(unhinted[area].sum()))
        # Region and hint are the asker's knowledge, not the photo's: neither may make a place stand out.
        unaided = standing * region_probability
        assumptions = Assumptions()
        if query.region is not None or query.hint is not None:
            assumptions = Assumptions(query.region, query.hint, unaided)
        prediction = Prediction(
            photo=shot.name,
            release=f"{self.parts.card.name} {self.parts.card.version}",
            abstained=unaided < ranking.abstain_below,
            exif_gps=shot.exif_gps,
            answers=answers,
            surface=self._surface(probabilities),
            thumbnail=shot.thumbnail,
            assumptions=assumptions,
            card=self.parts.card,
            countries=country_shares(probabilities, query.units or self.units),
        )
        return Answered(code, scores, probabilities, tuple(points), parts, prediction)

    def _log_prior(self, hint: Hint) -> NDArray[np.float64]:
        """Turn a hint into a prior over the points of the gallery."""
        gallery, of_words = self.parts.gallery, None
        if hint.words is not None:
            from whyhere.concepts import open_vocabulary

            # Equal width is not enough: other towers of width 512 mean other things by their directions.
            words_for, own = open_vocabulary().tower, self.parts.tower_name
            if own != words_for:
                raise UsageError(
                    f"release {self.parts.card.name} takes no words as hints, only places, scripts and the "
                    f"side of traffic: the known words are directions of the image tower {words_for}, and "
                    f"its own is {own or 'another one'}"
                )
            alignment = self.parts.alignment
            direction = alignment.location_direction(hint.words.pattern)
            of_words = hint_log_prior(alignment.location_cosines(direction, gallery.embeddings))
        places = self.units.places
        codes = np.array([code for code, _ in places.units], object)[places.of_place]
        return hint.log_prior(gallery.lat, gallery.lon, codes, of_words)

    def _probability_of(self, allowed: NDArray[np.bool_], anywhere: NDArray[np.float64]) -> float:
        """Return the probability of a region; a cell on its border counts by its points inside."""
        points = self.cells.cell_of_point
        inside = np.bincount(points, allowed, len(anywhere)) / np.bincount(points, minlength=len(anywhere))
        return float(anywhere @ inside)

    def meanings(self, code: ImageCode, point: int) -> dict[int, str]:
        """Say by label where the release has its concepts, and whose photo a landmark is and how far off."""
        gallery, first = self.parts.gallery, len(self.parts.concepts)
        told = dict(enumerate(self.where_concepts_are))
        for similar in code.similar:
            landmark = self.parts.landmarks[similar.landmark]
            photo = landmark.photos[similar.photo]
            km = great_circle_km(gallery.lat[point], gallery.lon[point], landmark.lat, landmark.lon)
            credit = ", ".join(text for text in (photo.author, photo.licence, photo.source) if text)
            told[first + similar.landmark] = (
                f"looks like “{photo.title}” ({similar.cosine:.2f}), {float(km):,.0f} km from here; {credit}"
            )
        return told

    def _surface(self, probabilities: NDArray[np.float64]) -> tuple[SurfaceCell, ...]:
        order = np.argsort(-probabilities, kind="stable")
        enough = int(np.searchsorted(np.cumsum(probabilities[order]), _SURFACE_MASS)) + 1
        cells = self.cells.cells
        return tuple(
            SurfaceCell(cell_string(int(cells[row])), float(probabilities[row])) for row in order[:enough]
        )
