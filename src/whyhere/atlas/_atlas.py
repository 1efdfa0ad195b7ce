"""The one object that answers about places: profiles, maps and comparisons, without any photo."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whyhere._parts import labels_of, prepare_gallery
from whyhere.alignment import Alignment, load_alignment
from whyhere.atlas._compute import RESOLUTION, Side, Subject, compare_sides, concept_map, place_profile
from whyhere.atlas._results import Comparison, ConceptMap, PlaceProfile
from whyhere.concepts import ConceptLabel, find_concept, unknown_concept
from whyhere.errors import MissingFileError, UsageError
from whyhere.gallery import Gallery, interpolate
from whyhere.geo import LatLon, Region, country_codes, parse_region
from whyhere.prediction import ReleaseCard
from whyhere.ranking import CellIndex
from whyhere.references import Reference, reference_for
from whyhere.releases import Release, prepare_heads, resolve

Floats = NDArray[np.float32]

RESOLUTIONS = range(6)
_WORDS_FOR = "clip-vit-b16"


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A text as a direction of the image embeddings of a release.

    Attributes:
        vector: How image embeddings change with what the text says: what `Alignment.location_direction`
            takes, float32, shape (d,).
        known: The words that it was made of.
        unknown: Words that the release does not know and that were left out.
        uncertain: Known words whose direction is a guess.
    """

    vector: Floats
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    uncertain: tuple[str, ...] = ()


def _embed(release: Release, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Floats:
    from whyhere.encoders import LocationEncoder

    folder = release.part_path(release.config.location_encoder)
    raw = LocationEncoder.load(folder / "location_encoder.safetensors").embed(lat, lon)
    unit: Floats = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return unit


def read_text(release: Release, text: str) -> TextQuery:
    """Read a text with the release's own text tower, else with the words known for its image tower.

    Raises:
        UsageError: No word of the text is known.
        MissingFileError: The release has no directions of texts.
    """
    config = release.config
    if config.text_tower is not None:
        from whyhere.releases import load_text_tower

        return TextQuery(load_text_tower(release).embed([text])[0], (text,), ())
    if config.image_tower.asset != _WORDS_FOR:
        raise MissingFileError(
            f"release {config.name} has no directions of texts: it has no text tower, and whyhere knows "
            f"words for the image tower {_WORDS_FOR} only; releases that have: base, geoclip-l14"
        )
    from whyhere.concepts import open_vocabulary

    found = open_vocabulary().direction(text)
    # The pattern, not the detector: see docs/text.md.
    return TextQuery(found.pattern, found.known, found.unknown, found.uncertain)


@dataclass(eq=False, repr=False)
class Atlas:
    """What a release knows about places by their embeddings alone; it never sees a photo.

    An atlas reads the concepts of all places of the gallery at its first question and keeps them: make one
    with `from_release` and use it often. No answer depends on the questions before it.

    Attributes:
        alignment: What relates places to concepts.
        gallery: The places, embedded.
        concepts: Names of the concepts, in the order of the alignment.
        card: What a reader must know about the release.
        embed: Embeds positions: latitudes and longitudes in degrees, shape (n,), to unit length (n, 512).
        read_text: Turns a text into a direction; raises `UsageError` where no word of it is known, and
            `MissingFileError` where the release has no directions of texts.
        reference_for: Finds the open reference of a concept by its id; None where there is none.

    Example:
        >>> from whyhere.atlas import Atlas
        >>> atlas = Atlas.from_release("base")  # doctest: +SKIP
        >>> atlas.place(-22.95, -43.21).highest(3)  # doctest: +SKIP
    """

    alignment: Alignment
    gallery: Gallery
    concepts: tuple[ConceptLabel, ...]
    card: ReleaseCard
    embed: Callable[[NDArray[np.float64], NDArray[np.float64]], Floats]
    read_text: Callable[[str], TextQuery]
    reference_for: Callable[[str], Reference | None] = reference_for
    _indices: dict[int, CellIndex] = field(default_factory=dict, init=False)

    @classmethod
    def from_release(
        cls,
        release: str | os.PathLike[str] = "base",
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Atlas:
        """Load a release; weights of towers and encoders only when they are used.

        Args:
            release: Name of a release, or the path of a release directory.
            progress: Called with places done and places in all while the gallery is embedded, which happens
                at the first use of a gallery only.

        Raises:
            MissingFileError: The release is unknown, or its weights are missing or damaged; nothing is ever
                downloaded here (`whyhere releases fetch` does that).
        """
        found = resolve(release)
        alignment = load_alignment(prepare_heads(found), found.config.alignment)
        gallery = prepare_gallery(found, progress=progress)
        smooth = found.config.gallery_smoothing_km > 0
        return cls(
            alignment=alignment,
            gallery=gallery,
            concepts=labels_of(found, alignment),
            card=found.config.card,
            embed=lambda lat, lon: interpolate(gallery, lat, lon) if smooth else _embed(found, lat, lon),
            read_text=lambda text: read_text(found, text),
        )

    @property
    def release(self) -> str:
        """Name and version of the release."""
        return f"{self.card.name} {self.card.version}"

    @cached_property
    def values(self) -> Floats:
        """Every concept of every place of the gallery, shape (n, k)."""
        return self.alignment.location_concepts(self.gallery.embeddings)

    @cached_property
    def codes(self) -> NDArray[np.object_]:
        """Country code of every place of the gallery, None on the open sea, shape (n,)."""
        codes = np.empty(len(self.gallery), object)
        codes[:] = country_codes(self.gallery.lat, self.gallery.lon)
        return codes

    def cells(self, resolution: int) -> CellIndex:
        """Return the H3 cells that the places of the gallery lie in."""
        if resolution not in self._indices:
            lat, lon = self.gallery.lat, self.gallery.lon
            self._indices[resolution] = CellIndex.build(lat, lon, resolution=resolution)
        return self._indices[resolution]

    def concepts_at(self, position: LatLon) -> Floats:
        """Return the concepts of any place, shape (k,)."""
        embedding = self.embed(np.array([position.lat]), np.array([position.lon]))
        found: Floats = self.alignment.location_concepts(embedding)[0]
        return found

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
        return place_profile(self, position, similar=similar)

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
        row = find_concept(concept, self.concepts)
        if row is None:
            raise UsageError(
                f"{self.release} has no concept {concept[:60]!r}{unknown_concept(concept, self.concepts)} "
                "(`whyhere concepts list` shows all; other words: `whyhere map --text`)"
            )
        label = self.concepts[row]
        learned = label.id in self.alignment.grounded
        return self._map(Subject(self.values[:, row], label.name, label, learned), region, resolution)

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
        query = self.read_text(text)
        direction = self.alignment.location_direction(query.vector)
        values = self.alignment.location_cosines(direction, self.gallery.embeddings)
        name = " ".join(query.known) if query.unknown else text.strip()
        subject = Subject(values, name, unknown_words=query.unknown, uncertain_words=query.uncertain)
        return self._map(subject, region, resolution)

    def compare(self, a: Region | str, b: Region | str) -> Comparison:
        """Tell two parts of the Earth apart by the concepts of their places.

        Args:
            a: A `Region`, or what `parse_region` understands: a country, a box, GeoJSON.
            b: Another one.

        Raises:
            UsageError: A region is not understood, no place of the gallery lies in it, or both hold the same.
        """
        first, second = self._side(a), self._side(b)
        if np.array_equal(first.inside, second.inside):
            raise UsageError(
                f"{first.name} and {second.name} hold the same {int(first.inside.sum()):,} places: nothing "
                "tells them apart; name two different regions"
            )
        return compare_sides(self, first, second)

    def _map(self, subject: Subject, region: Region | str | None, resolution: int) -> ConceptMap:
        if resolution not in RESOLUTIONS:
            raise UsageError(f"resolution must be a whole number from 0 to 5, not {resolution}")
        side = None if region is None else self._side(region)
        return concept_map(
            self,
            subject,
            resolution=resolution,
            inside=side.inside if side else None,
            region=side.name if side else None,
        )

    def _side(self, region: Region | str) -> Side:
        """Tell which places of the gallery lie in a region; some must."""
        region = parse_region(region) if isinstance(region, str) else region
        code = region.to_dict().get("country_code")
        # Countries of all places are looked up once; that is the slow part of a comparison.
        lat, lon = self.gallery.lat, self.gallery.lon
        inside = region.contains(lat, lon) if code is None else np.asarray(self.codes == code, bool)
        if not inside.any():
            raise UsageError(
                f"none of the {len(self.gallery):,} places that {self.release} knows lies in {region.name}; "
                "choose a larger region"
            )
        return Side(region.name, inside)
