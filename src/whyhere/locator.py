"""The one object that joins all stages: photo in, prediction out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from whyhere._assembly import Parts, assemble
from whyhere.alignment import ImageCode
from whyhere.errors import PhotoError, UsageError
from whyhere.geo import Region, cell_string, parse_region, place_names
from whyhere.images import Photo, PhotoSource, open_photo, preprocess, thumbnail
from whyhere.prediction import Answer, ConceptContribution, Prediction, SurfaceCell
from whyhere.ranking import CellIndex, cell_probabilities, rank_places
from whyhere.releases import resolve

DECODED_AHEAD = 2
"""Photos that `locate_many` decodes while it looks at the ones before them."""

_SURFACE_MASS = 0.99  # the surface of a report leaves out cells beyond this much probability
_DECODERS = 2


@dataclass(frozen=True, slots=True)
class _Query:
    """What one call of `locate` asks for, checked once for all photos."""

    top: int
    radius_km: float
    allowed: NDArray[np.bool_] | None
    with_thumbnail: bool


class Locator:
    """Locates photos with one release.

    A locator holds the image tower and the gallery in memory: make one and use it for many photos. What
    it answers for a photo never depends on other photos.

    Example:
        >>> from whyhere import Locator
        >>> prediction = Locator.from_release("base").locate("photo.jpg")  # doctest: +SKIP
        >>> prediction.answers[0].place.country  # doctest: +SKIP
        'United States'
    """

    def __init__(self, parts: Parts) -> None:
        self.card = parts.card
        self._parts = parts
        self._cells = CellIndex.build(
            parts.gallery.lat, parts.gallery.lon, resolution=parts.ranking.cell_resolution
        )

    @classmethod
    def from_release(
        cls,
        release: str | os.PathLike[str] = "base",
        *,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Locator:
        """Load a release.

        Args:
            release: Name of a release, or the path of a release directory.
            threads: Threads of the image tower; all cores by default.
            progress: Called with places done and places in all while the gallery is embedded, which
                happens at the first use of a gallery only.

        Returns:
            The locator.

        Raises:
            MissingFileError: The release is unknown, or its weights are missing or damaged; nothing is
                ever downloaded here (`whyhere releases fetch` does that).
        """
        return cls(assemble(resolve(release), threads=threads, progress=progress))

    @property
    def release(self) -> str:
        """Name and version of the release."""
        return f"{self.card.name} {self.card.version}"

    def locate(
        self,
        photo: PhotoSource,
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        with_thumbnail: bool = False,
        name: str | None = None,
    ) -> Prediction:
        """Say where a photo may have been taken, and which concepts say so.

        Args:
            photo: Path, bytes, binary file object, PIL image, or array of shape (h, w), (h, w, 3) or
                (h, w, 4).
            top: How many different places at most.
            radius_km: Points nearer than this belong to the same place; the release's own by default.
            region: Answer only inside it: a `Region`, or what `parse_region` understands.
            with_thumbnail: Keep a small JPEG of the photo in the prediction, for reports.
            name: What to call the photo; its path by default.

        Returns:
            The prediction.

        Raises:
            PhotoError: The photo cannot be read.
            UsageError: An argument makes no sense, or no place of the gallery lies in the region.
        """
        query = self._query(top, radius_km, region, with_thumbnail)
        (prediction,) = self._predict([open_photo(photo, name=name)], query)
        return prediction

    def locate_many(
        self,
        photos: Iterable[PhotoSource],
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        with_thumbnail: bool = False,
        on_error: Callable[[PhotoError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Locate many photos; the next ones are decoded while the current ones are looked at.

        Args:
            photos: As for `locate`; read lazily.
            top: As for `locate`.
            radius_km: As for `locate`.
            region: As for `locate`.
            with_thumbnail: As for `locate`.
            on_error: Called with each photo that cannot be read, which is then left out; without it the
                first such photo raises its error.

        Returns:
            An iterator of predictions, in the order of the photos.

        Raises:
            UsageError: At once, as for `locate`.
        """
        if isinstance(photos, (str, bytes, os.PathLike)):
            raise UsageError("locate_many takes several photos; use locate for one, or put it into a list")
        query = self._query(top, radius_km, region, with_thumbnail)
        return self._locate_many(photos, query, on_error)

    def _locate_many(
        self, photos: Iterable[PhotoSource], query: _Query, on_error: Callable[[PhotoError], None] | None
    ) -> Iterator[Prediction]:
        waiting = iter(photos)
        with ThreadPoolExecutor(_DECODERS) as pool:

            def submit() -> list[Future[Photo]]:
                return [pool.submit(open_photo, photo) for photo in islice(waiting, DECODED_AHEAD)]

            batch = submit()
            while batch:
                following = submit()
                opened: list[Photo] = []
                for future in batch:
                    try:
                        opened.append(future.result())
                    except PhotoError as error:
                        if on_error is None:
                            raise
                        on_error(error)
                yield from self._predict(opened, query)
                batch = following

    def _query(
        self, top: int, radius_km: float | None, region: Region | str | None, with_thumbnail: bool
    ) -> _Query:
        if top < 1:
            raise UsageError(f"top must be at least 1, not {top}")
        radius_km = self._parts.ranking.radius_km if radius_km is None else radius_km
        if not 0 < radius_km <= 20_000:
            raise UsageError(f"radius_km must lie between 0 and 20000 km, not {radius_km}")
        allowed = None
        if region is not None:
            region = parse_region(region) if isinstance(region, str) else region
            allowed = region.contains(self._parts.gallery.lat, self._parts.gallery.lon)
            if not allowed.any():
                raise UsageError(
                    f"none of the {len(allowed)} places that can be answered lies in {region.name}; "
                    "choose a larger region"
                )
        return _Query(top, radius_km, allowed, with_thumbnail)

    def _predict(self, photos: list[Photo], query: _Query) -> Iterator[Prediction]:
        for photo in photos:
            yield self._answer(photo, self._parts.alignment.encode_image(self._features(photo)), query)

    def _features(self, photo: Photo) -> NDArray[np.float32]:
        """Return the features of a photo: the mean of the unit embeddings of its views, unit length.

        Where a release averages scores over the views instead, the raw embeddings of all views, [v, d].
        """
        embeddings = self._parts.tower.embed_only(preprocess(photo.image, self._parts.preprocessing))
        if self._parts.view_average == "logits":
            return embeddings
        mean = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).mean(axis=0)
        features: NDArray[np.float32] = mean / np.linalg.norm(mean)
        return features

    def _answer(self, photo: Photo, code: ImageCode, query: _Query) -> Prediction:
        gallery, ranking = self._parts.gallery, self._parts.ranking
        scores = self._parts.alignment.scores(code, gallery.embeddings)
        anywhere = cell_probabilities(
            scores, self._cells, temperature=ranking.temperature, background=ranking.background
        )
        probabilities, region_probability = anywhere, 1.0
        if query.allowed is not None:
            probabilities = cell_probabilities(
                scores,
                self._cells,
                temperature=ranking.temperature,
                background=ranking.background,
                allowed=query.allowed,
            )
            region_probability = self._probability_of(query.allowed, anywhere)
        places = rank_places(
            probabilities,
            scores,
            self._cells,
            top=query.top,
            radius_km=query.radius_km,
            allowed=query.allowed,
        )
        points = [place.point for place in places]
        parts = self._parts.alignment.contributions(code, gallery.embeddings[points])
        names = place_names(gallery.lat[points], gallery.lon[points])
        answers = tuple(
            Answer(
                rank=row + 1,
                lat=float(gallery.lat[place.point]),
                lon=float(gallery.lon[place.point]),
                radius_km=place.radius_km,
                probability=place.probability,
                place=names[row],
                score=float(parts.scores[row]),
                concepts=self._contributions(parts.concepts[row]),
                remainder=float(parts.remainder[row]),
            )
            for row, place in enumerate(places)
        )
        return Prediction(
            photo=photo.name,
            release=self.release,
            # A region is the asker's knowledge, not the photo's: it must not make a place stand out.
            abstained=answers[0].probability * region_probability < ranking.abstain_below,
            exif_gps=photo.exif_gps,
            answers=answers,
            surface=self._surface(probabilities),
            thumbnail=thumbnail(photo.image) if query.with_thumbnail else None,
        )

    def _probability_of(self, allowed: NDArray[np.bool_], anywhere: NDArray[np.float64]) -> float:
        """Return the probability of a region; a cell on its border counts by its points inside."""
        points = self._cells.cell_of_point
        inside = np.bincount(points, allowed, len(anywhere)) / np.bincount(points, minlength=len(anywhere))
        return float(anywhere @ inside)

    def _contributions(self, values: NDArray[np.float32]) -> tuple[ConceptContribution, ...]:
        order = np.argsort(-values, kind="stable")
        return tuple(
            ConceptContribution(concept.id, concept.name, concept.group, float(values[column]))
            for column in order
            for concept in (self._parts.concepts[column],)
        )

    def _surface(self, probabilities: NDArray[np.float64]) -> tuple[SurfaceCell, ...]:
        order = np.argsort(-probabilities, kind="stable")
        enough = int(np.searchsorted(np.cumsum(probabilities[order]), _SURFACE_MASS)) + 1
        cells = self._cells.cells
        return tuple(
            SurfaceCell(cell_string(int(cells[row])), float(probabilities[row])) for row in order[:enough]
        )
