"""The one object that answers about places: profiles, maps and comparisons, without any photo."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._compare import Comparison, Side, compare_sides
from whyhere.atlas._find import find_concept
from whyhere.atlas._map import RESOLUTION, ConceptMap, Subject, concept_map
from whyhere.atlas._parts import AtlasParts, TextQuery, assemble_atlas
from whyhere.atlas._place import PlaceProfile, place_profile
from whyhere.concepts import ConceptLabel
from whyhere.errors import UsageError
from whyhere.geo import LatLon, Region, country_codes, parse_region
from whyhere.ranking import CellIndex
from whyhere.releases import resolve

RESOLUTIONS = range(6)


def _mapped(text: str, query: TextQuery) -> str:
    """Return what a map of a text shows: the text, or the words of it that count where some were left out."""
    return " ".join(query.known) if query.unknown else text.strip()


class Atlas:
    """What a release knows about places by their embeddings alone; it never sees a photo.

    An atlas reads the concepts of all places of the gallery at its first question and keeps them: make one
    and use it often. No answer depends on the questions before it.

    Example:
        >>> from whyhere.atlas import Atlas
        >>> atlas = Atlas.from_release("base")  # doctest: +SKIP
        >>> atlas.place(-22.95, -43.21).highest(3)  # doctest: +SKIP
    """

    def __init__(self, parts: AtlasParts) -> None:
        self.card = parts.card
        self._parts = parts
        self._indices: dict[int, CellIndex] = {}

    @classmethod
    def from_release(
        cls,
        release: str | os.PathLike[str] = "base",
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Atlas:
        """Load a release.

        Args:
            release: Name of a release, or the path of a release directory.
            progress: Called with places done and places in all while the gallery is embedded, which happens
                at the first use of a gallery only.

        Raises:
            MissingFileError: The release is unknown, or its weights are missing or damaged; nothing is ever
                downloaded here (`whyhere releases fetch` does that).
        """
        return cls(assemble_atlas(resolve(release), progress=progress))

    @property
    def release(self) -> str:
        """Name and version of the release."""
        return f"{self.card.name} {self.card.version}"

    @property
    def concepts(self) -> tuple[ConceptLabel, ...]:
        """The concepts of the release."""
        return self._parts.concepts

    def place(self, lat: float, lon: float, *, similar: int = 5) -> PlaceProfile:
        """Describe a place by its concepts, against its region and the world, with places like it.

        Args:
            lat: Latitude in degrees.
            lon: Longitude in degrees, any turn.
            similar: How many similar places to look for.

        Raises:
            UsageError: The position is not on Earth, or `similar` is negative.
        """
        try:
            position = LatLon(float(lat), float(lon))
        except ValueError as error:
            raise UsageError(str(error)) from error
        if similar < 0:
            raise UsageError(f"similar must be 0 or more, not {similar}")
        embedding = self._parts.embed(np.array([position.lat]), np.array([position.lon]))
        return place_profile(
            position,
            self._parts.alignment.location_concepts(embedding)[0],
            self._values,
            index=self._index(RESOLUTION),
            gallery=self._parts.gallery,
            codes=self._codes,
            concepts=self.concepts,
            similar=similar,
            release=self.release,
            card=self.card,
        )

    def map(
        self, concept: str, *, region: Region | str | None = None, resolution: int = RESOLUTION
    ) -> ConceptMap:
        """Map a concept.

        Args:
            concept: Id, name or synonym of a concept of the release.
            region: Cut the map to it: a `Region`, or what `parse_region` understands.
            resolution: H3 resolution of the cells, 0 (coarse) to 5 (fine).

        Raises:
            UsageError: The release has no such concept, an argument makes no sense, or no place of the
                gallery lies in the region.
        """
        row = find_concept(concept, self.concepts, release=self.release)
        label = self.concepts[row]
        learned = label.id in self._parts.alignment.grounded
        subject = Subject(label.name, label.id, label.definition, evidence=label.evidence, learned=learned)
        return self._map(subject, lambda: self._values[:, row], region, resolution)

    def map_text(
        self, text: str, *, region: Region | str | None = None, resolution: int = RESOLUTION
    ) -> ConceptMap:
        """Map what a text means, where the release has directions of texts.

        Args:
            text: Words, such as "palm beach"; `ConceptMap.unknown_words` names those that are not known.
            region: As for `map`.
            resolution: As for `map`.

        Raises:
            UsageError: No word of the text is known, an argument makes no sense, or no place of the gallery
                lies in the region.
            MissingFileError: The release has no directions of texts.
        """
        if not text.strip():
            raise UsageError("the text is empty; write what to look for, such as: palm beach")
        query = self._parts.read_text(text)
        alignment, places = self._parts.alignment, self._parts.gallery.embeddings
        return self._map(
            Subject(_mapped(text, query), unknown_words=query.unknown, uncertain_words=query.uncertain),
            lambda: alignment.location_cosines(alignment.location_direction(query.vector), places),
            region,
            resolution,
        )

    def compare(self, a: Region | str, b: Region | str) -> Comparison:
        """Tell two parts of the Earth apart by the concepts of their places.

        Args:
            a: A `Region`, or what `parse_region` understands: a country, a box, GeoJSON.
            b: Another one.

        Raises:
            UsageError: A region is not understood, no place of the gallery lies in it, or both hold the same.
        """
        gallery = self._parts.gallery
        sides = []
        for region in (a, b):
            region = parse_region(region) if isinstance(region, str) else region
            sides.append(Side(region.name, self._inside(region)))
        if np.array_equal(sides[0].inside, sides[1].inside):
            count = int(sides[0].inside.sum())
            raise UsageError(
                f"{sides[0].name} and {sides[1].name} hold the same {count:,} places: nothing tells them "
                "apart; name two different regions"
            )
        return compare_sides(
            sides[0],
            sides[1],
            self._values,
            lat=gallery.lat,
            lon=gallery.lon,
            world=self._index(RESOLUTION),
            concepts=self.concepts,
            release=self.release,
            card=self.card,
        )

    def _map(
        self,
        subject: Subject,
        values: Callable[[], NDArray[np.float32]],
        region: Region | str | None,
        resolution: int,
    ) -> ConceptMap:
        if resolution not in RESOLUTIONS:
            raise UsageError(f"resolution must be a whole number from 0 to 5, not {resolution}")
        region = parse_region(region) if isinstance(region, str) else region
        return concept_map(
            subject,
            values(),
            self._index(resolution),
            lat=self._parts.gallery.lat,
            lon=self._parts.gallery.lon,
            resolution=resolution,
            inside=None if region is None else self._inside(region),
            region=None if region is None else region.name,
            release=self.release,
            card=self.card,
        )

    def _inside(self, region: Region) -> NDArray[np.bool_]:
        """Tell which places of the gallery lie in a region; some must."""
        gallery = self._parts.gallery
        code = region.to_dict().get("country_code")
        # Countries of all places are looked up once; that is the slow part of a comparison.
        inside = region.contains(gallery.lat, gallery.lon) if code is None else self._codes == code
        if not inside.any():
            raise UsageError(
                f"none of the {len(gallery):,} places that {self.release} knows lies in {region.name}; "
                "choose a larger region"
            )
        return inside

    def _index(self, resolution: int) -> CellIndex:
        if resolution not in self._indices:
            gallery = self._parts.gallery
            self._indices[resolution] = CellIndex.build(gallery.lat, gallery.lon, resolution=resolution)
        return self._indices[resolution]

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        """Every concept of every place of the gallery, shape (n, k)."""
        return self._parts.alignment.location_concepts(self._parts.gallery.embeddings)

    @cached_property
    def _codes(self) -> NDArray[np.object_]:
        """Country code of every place of the gallery, None on the open sea, shape (n,)."""
        gallery = self._parts.gallery
        codes = np.empty(len(gallery), object)
        codes[:] = country_codes(gallery.lat, gallery.lon)
        return codes
