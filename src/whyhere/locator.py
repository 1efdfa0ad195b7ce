"""The one object that joins all stages: photo in, prediction or explanation out.

open -> embed -> code -> decompose(places) -> rank -> Prediction
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere._hints import Hint, read_hint
from whyhere._parts import Parts, assemble
from whyhere._predict import Scope, Shown, explain, predict, probabilities_of, scope_of
from whyhere.alignment import ImageCode
from whyhere.errors import MissingFileError, PhotoError, UsageError
from whyhere.explain import Where, parse_where, plan, region_pictures
from whyhere.geo import LatLon, Region
from whyhere.images import (
    DECODE_MEMORY_MB,
    DECODE_SECONDS,
    Photo,
    PhotoSource,
    Room,
    open_photo,
    prepared_ahead,
    preprocess,
    thumbnail,
)
from whyhere.prediction import Explanation, Prediction
from whyhere.ranking import CellIndex
from whyhere.releases import Release, asset_path, resolve

if TYPE_CHECKING:
    from whyhere.encoders import TracingTower

AnyPlace = Where | Region | LatLon | tuple[float, float] | str | int
"""Whatever `parse_where` understands."""

_log = logging.getLogger(__name__)


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
        self._source: Release | None = None
        self._threads: int | None = None
        self._seconds: float = DECODE_SECONDS
        self._memory_mb: float = DECODE_MEMORY_MB
        self._tracing: TracingTower | None = None

    @classmethod
    def from_release(
        cls,
        release: str | os.PathLike[str] = "base",
        *,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        decode_seconds: float = DECODE_SECONDS,
        decode_memory_mb: float = DECODE_MEMORY_MB,
    ) -> Locator:
        """Load a release.

        Args:
            release: Name of a release, or the path of a release directory.
            threads: Threads of the image tower; all cores by default.
            progress: Called with places done and places in all while the gallery is embedded, which
                happens at the first use of a gallery only.
            decode_seconds: Processor time that decoding one photo may take.
            decode_memory_mb: Memory, in millions of bytes, that all photos in decoding may need together.

        Returns:
            The locator.

        Raises:
            MissingFileError: The release is unknown, or its weights are missing or damaged; nothing is
                ever downloaded here (`whyhere releases fetch` does that).
        """
        found = resolve(release)
        _log.info("loading release %s %s from %s", found.name, found.version, found.directory)
        locator = cls(assemble(found, threads=threads, progress=progress))
        _log.info("ready: %s places, %s concepts", len(locator.parts.gallery), len(locator.parts.concepts))
        locator._source, locator._threads = found, threads
        locator._seconds, locator._memory_mb = decode_seconds, decode_memory_mb
        return locator

    @property
    def release(self) -> str:
        """Name and version of the release."""
        return f"{self.card.name} {self.card.version}"

    @property
    def parts(self) -> Parts:
        """What the locator is made of, for work with codes and scores instead of photos."""
        return self._parts

    @property
    def cells(self) -> CellIndex:
        """The H3 cells that probability is spread over."""
        return self._parts.cells

    def locate(
        self,
        photo: PhotoSource,
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
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
            hint: What you know about the photo in a few words ("beach in Norway", "Cyrillic signs"): favours
                places that fit, by a bounded factor; see `hint_words`.
            with_thumbnail: Keep a small JPEG of the photo in the prediction, for reports.
            name: What to call the photo; its path by default.

        Returns:
            The prediction.

        Raises:
            PhotoError: The photo cannot be read.
            UsageError: An argument makes no sense, no place of the gallery lies in the region, or no word of
                the hint is known.
        """
        scope = scope_of(self._parts, top=top, radius_km=radius_km, region=region, hint=hint)
        opened = self._open(photo, name=name)
        code = self._parts.alignment.encode_image(self._embed(opened))
        return predict(self._parts, code, scope, _shown(opened, with_thumbnail)).prediction

    def locate_many(
        self,
        photos: Iterable[PhotoSource],
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
        with_thumbnail: bool = False,
        on_error: Callable[[PhotoError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yield predictions of many photos in their order; the next are decoded while one is looked at.

        The photos are read lazily. `on_error` is called with each that cannot be read, which is then left
        out; without it the first such photo raises its error. The other arguments are those of `locate`.

        Raises:
            UsageError: At once, as for `locate`.
        """
        found = self.locate_each(
            photos, top=top, radius_km=radius_km, region=region, hint=hint, with_thumbnail=with_thumbnail
        )
        return self._without_errors(found, on_error)

    def locate_each(
        self,
        photos: Iterable[PhotoSource],
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
        with_thumbnail: bool = False,
    ) -> Generator[Prediction | PhotoError, None, None]:
        """Locate as `locate_many` does, with an error in the place of each photo that cannot be read.

        So the n-th of what is yielded is about the n-th photo.
        """
        if isinstance(photos, (str, bytes, os.PathLike)):
            raise UsageError("locate_many takes several photos; use locate for one, or put it into a list")
        scope = scope_of(self._parts, top=top, radius_km=radius_km, region=region, hint=hint)
        return self._locate_each(photos, scope, with_thumbnail)

    def _locate_each(
        self, photos: Iterable[PhotoSource], scope: Scope, with_thumbnail: bool
    ) -> Generator[Prediction | PhotoError, None, None]:
        def prepare(source: PhotoSource, room: Room) -> tuple[Shown, NDArray[np.float32]]:
            photo = self._open(source, room=room)
            _log.debug("read %s, %s by %s pixels", photo.name, *photo.image.size)
            return _shown(photo, with_thumbnail), preprocess(photo.image, self._parts.preprocessing)

        for prepared in prepared_ahead(photos, prepare):
            if isinstance(prepared, PhotoError):
                yield prepared
                continue
            shown, pixels = prepared
            code = self._parts.alignment.encode_image(self._parts.embedder.embed_pixels(pixels))
            yield predict(self._parts, code, scope, shown).prediction

    @staticmethod
    def _without_errors(
        found: Generator[Prediction | PhotoError, None, None], on_error: Callable[[PhotoError], None] | None
    ) -> Iterator[Prediction]:
        with closing(found):
            for one in found:
                if isinstance(one, Prediction):
                    yield one
                elif on_error is None:
                    raise one
                else:
                    on_error(one)

    def explain(
        self,
        photo: PhotoSource | ImageCode,
        *,
        at: AnyPlace | None = None,
        versus: AnyPlace | None = None,
        without: Sequence[str] = (),
        only: Sequence[str] = (),
        set_: Mapping[str, float] | None = None,
        remainder: bool = True,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
        regions: int = 0,
        with_thumbnail: bool = False,
        name: str | None = None,
    ) -> Explanation:
        """Say why a photo is answered as it is: concepts for and against a place, and what if.

        Args:
            photo: As for `locate`, or the code of a photo (see `encode`).
            at: The place to explain, the first answer by default: the number of an answer, a position (the
                nearest point of the gallery is taken), a country or other region (its best-scoring point),
                or a town; see `whyhere.explain.parse_where`.
            versus: Another place: why at the first one rather than there.
            without: Concepts to take out of the photo, by id, name or synonym; a group's name takes out all
                of it.
            only: Groups of concepts to keep; all others are taken out.
            set_: Strength to give to concepts: 0 is no matter, 1 as strong as the photo's strongest concept,
                below 0 less of it than usual.
            remainder: Whether the unnamed remainder stays in the score of the changed photo.
            top: As for `locate`, as `radius_km`, `hint`, `with_thumbnail` and `name`.
            radius_km: Merging radius.
            region: Only places in it are answered, and can be explained.
            hint: What you know about the photo.
            regions: For how many of the concepts that speak most for the place to draw which parts of the
                photo raise them.
            with_thumbnail: Keep a small JPEG.
            name: What to call the photo.

        Returns:
            The explanation. Its parts add up to the score to 1e-5; it shows what carried the score, which
            is no proof of where the photo was taken.

        Raises:
            PhotoError: The photo cannot be read.
            MissingFileError: Regions are wanted and the image tower of the release cannot be traced.
            UsageError: An argument makes no sense, or a change leaves nothing to answer from.
        """
        scope = scope_of(self._parts, top=top, radius_km=radius_km, region=region, hint=hint)
        changes = plan(self._parts.labels, without=without, only=only, set_=set_, remainder=remainder)
        here = None if at is None else parse_where(at)
        there = None if versus is None else parse_where(versus)
        if isinstance(photo, ImageCode):
            if regions:
                raise UsageError("regions are parts of a photo; give the photo instead of its code")
            shown = Shown(name or "photo")
            return explain(self._parts, photo, scope, shown, at=here, versus=there, plan=changes)
        tower = self.tracing_tower() if regions else None
        opened = self._open(photo, name=name)
        code = self._parts.alignment.encode_image(self._embed(opened))
        shown = _shown(opened, with_thumbnail)
        found = explain(self._parts, code, scope, shown, at=here, versus=there, plan=changes)
        # What the photo shows little of has no region, even where that speaks for the place.
        known = frozenset(self._parts.alignment.concept_ids)  # a landmark is the whole photo
        speaking = [
            (part.id, part.name)
            for part in found.here.concepts
            if part.contribution > 0 and part.strength > 0 and part.id in known
        ]
        if tower is None or not speaking:
            return found
        pictures = region_pictures(
            tower,
            opened.image,
            self._parts.alignment,
            speaking[:regions],
            spec=self._parts.preprocessing,
            unit=self._parts.view_average != "logits",
        )
        return msgspec.structs.replace(found, regions=pictures)

    def tracing_tower(self) -> TracingTower:
        """Return the image tower, opened a second time so that regions can be read; opened once.

        Raises:
            MissingFileError: The image tower of this release cannot be traced.
        """
        if self._tracing is None:
            from whyhere.encoders import TracingTower

            asset = self._source.config.image_tower.asset if self._source is not None else ""
            if not asset:
                raise MissingFileError(
                    "regions of a photo can be shown only by releases whose image tower whyhere has fetched "
                    "itself, such as base"
                )
            path = asset_path(asset) / "image_tower.onnx"
            self._tracing = TracingTower(path, threads=self._threads)
        return self._tracing

    def features(self, photo: PhotoSource, *, name: str | None = None) -> NDArray[np.float32]:
        """Return what the alignment sees of a photo, shape (p,): the one slow step.

        A release that averages scores over views has the embeddings of all views, shape (v, p).
        """
        return self._embed(self._open(photo, name=name))

    def encode(self, photo: PhotoSource, *, name: str | None = None) -> ImageCode:
        """Return the code of a photo, from which it can be answered and explained many times."""
        return self._parts.alignment.encode_image(self.features(photo, name=name))

    def answer_code(
        self,
        code: ImageCode,
        *,
        top: int = 5,
        radius_km: float | None = None,
        region: Region | str | None = None,
        hint: str | None = None,
        name: str = "photo",
    ) -> Prediction:
        """Answer the code of a photo; the arguments are those of `locate`."""
        scope = scope_of(self._parts, top=top, radius_km=radius_km, region=region, hint=hint)
        return predict(self._parts, code, scope, Shown(name)).prediction

    def probabilities(
        self, code: ImageCode, *, region: Region | str | None = None, hint: str | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of every cell of `cells` for the code of a photo, shape (m,)."""
        scope = scope_of(self._parts, region=region, hint=hint)
        scores = self._parts.alignment.scores(code, self._parts.gallery.embeddings)
        return probabilities_of(self._parts, scores, scope.allowed, scope.log_prior)

    def hint_words(self, hint: str) -> Hint:
        """Say what of a hint is known and counts, places and words, and which words do not.

        Raises:
            UsageError: Nothing of it is known, or it says what a hint cannot say.
        """
        return read_hint(hint)

    def _open(self, photo: PhotoSource, *, name: str | None = None, room: Room | None = None) -> Photo:
        return open_photo(
            photo, name=name, room=room, decode_seconds=self._seconds, decode_memory_mb=self._memory_mb
        )

    def _embed(self, photo: Photo) -> NDArray[np.float32]:
        _log.debug("looking at %s, %s by %s pixels", photo.name, *photo.image.size)
        return self._parts.embedder.embed(photo.image)


def _shown(photo: Photo, with_thumbnail: bool) -> Shown:
    return Shown(photo.name, photo.exif_gps, thumbnail(photo.image) if with_thumbnail else None)
