"""What an atlas answers: profiles of places, maps of concepts, comparisons. Records that show themselves."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from whyhere._record import Record
from whyhere.geo import PlaceName, great_circle_km
from whyhere.picture import Files, Picture, Result
from whyhere.prediction import ReleaseCard, shown_as, unconfirmed

IN_SAMPLE = "part of the concept's direction was fitted to this reference: no test"
"""Said wherever an agreement is shown that the release was fitted to."""


class _Named:
    """A concept by name, with the star of those that no open map confirms."""

    __slots__ = ()
    name: str
    evidence: str

    @property
    def shown_as(self) -> str:
        """What to call it: with a star where no open map confirms it."""
        return shown_as(self.name, 1.0, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether no open map confirms it, in a release that was put to the test."""
        return unconfirmed(self.evidence)


class _Shown(Result, Record, frozen=True):
    """A result that draws, tells and saves itself."""

    def plot(self) -> Picture:
        """Draw the result."""
        from whyhere.atlas._pictures import draw

        return draw(self)

    def _lines(self) -> tuple[str, str, str]:
        from whyhere.atlas._pages import lines

        return lines(self)

    def _files(self) -> Files:
        from whyhere.atlas._pages import files

        return files(self)


class PlaceConcept(_Named, Record, frozen=True):
    """One concept of a place.

    Attributes:
        id: Concept id in the release.
        name: Concept name for people.
        group: Group of concepts it belongs to.
        value: Cosine of place and concept.
        world_percentile: Share of the known world by area with a lower value, in percent.
        region_percentile: Share of the region by area with a lower value; None without a region.
        deviation: Standard deviations of the world above (or below) its mean: how much it stands out.
        evidence: Whether open maps confirm what the concept does in the release; see `ConceptContribution`.
    """

    id: str
    name: str
    group: str
    value: float
    world_percentile: float
    region_percentile: float | None
    deviation: float
    evidence: str = ""


class SimilarPlace(Record, frozen=True):
    """A place elsewhere with a similar profile.

    Attributes:
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        place: What it is called.
        similarity: Cosine of the two profiles in standard deviations of the world, -1 to 1.
        distance_km: Great-circle distance from the place that was asked for.
        shared: Names of the concepts that both have more of than the world and that make most of the
            similarity, the strongest first, three at most; none that no open map confirms.
    """

    lat: float
    lon: float
    place: PlaceName
    similarity: float
    distance_km: float
    shared: tuple[str, ...]


class PlaceProfile(_Shown, frozen=True):
    """What the embedding of a place says about it.

    Attributes:
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        place: What the place is called.
        release: Name and version of the release.
        region: What the profile is compared with beside the world: a country, or "within 500 km"; None
            where too few places of the gallery are near.
        region_points: Places of the gallery in the region.
        nearest_km: Distance to the nearest place of the gallery.
        far: Whether that is so far that the profile is an extrapolation.
        concepts: Every concept of the release, what stands out most from the world first.
        similar: The most similar places elsewhere, the most similar first.
        card: What a reader must know about the release.
    """

    lat: float
    lon: float
    place: PlaceName
    release: str
    region: str | None
    region_points: int
    nearest_km: float
    far: bool
    concepts: tuple[PlaceConcept, ...]
    similar: tuple[SimilarPlace, ...]
    card: ReleaseCard

    json_fields = (
        "lat", "lon", "place", "release", "region", "region_points", "nearest_km", "far", "concepts",
        "similar",
    )  # fmt: skip

    def highest(self, limit: int) -> tuple[PlaceConcept, ...]:
        """Return at most `limit` concepts that the place has more of than the world, the strongest first.

        Here and in `lowest` those that no open map confirms are left out; see `unconfirmed`.
        """
        more = (concept for concept in self.concepts if concept.deviation > 0 and not concept.unconfirmed)
        return tuple(islice(more, limit))

    def lowest(self, limit: int) -> tuple[PlaceConcept, ...]:
        """Return at most `limit` concepts that it has less of than the world, the strongest first."""
        less = (c for c in reversed(self.concepts) if c.deviation < 0 and not c.unconfirmed)
        return tuple(islice(less, limit))

    def unconfirmed(self, limit: int) -> tuple[PlaceConcept, ...]:
        """Return at most `limit` concepts that no open map confirms, what stands out most first."""
        found = (concept for concept in self.concepts if concept.unconfirmed)
        return tuple(sorted(found, key=lambda concept: -abs(concept.deviation))[:limit])


class MapCell(Record, frozen=True):
    """One cell of a map.

    Attributes:
        cell: H3 cell index as a hexadecimal string.
        lat: Latitude of the middle of the cell's places; of those in the region where the map is cut to one.
        lon: Longitude of it.
        points: Places of the gallery in the cell, and in the region.
        value: Mean of the cosine of place and concept over all places of the cell, in the region or not.
        percentile: Share of all cells of the world with a lower value, in percent.
        reference: What the open reference says there; None where it is unknown or there is no reference.
    """

    cell: str
    lat: float
    lon: float
    points: int
    value: float
    percentile: float
    reference: float | None


class MapReference(Record, frozen=True):
    """Open data that show the same thing as a map, or hint at it.

    Agreement is measured by `whyhere.references.agreement` over all places of the map: means over H3 cells of
    resolution 3, and 95 % intervals from a bootstrap of blocks of ten degrees.

    Attributes:
        name: What the reference shows.
        kind: "binary" or "continuous".
        unit: Unit of a continuous reference.
        directness: "direct" where it measures the concept, "proxy" where it says only where to expect it.
        learned: Whether part of the concept's direction was fitted to this reference: then the agreement is
            in-sample, and no test of the map.
        higher_means_more: False where a low value means more of the concept, such as a distance.
        source: Where it comes from.
        licence: Under which licence.
        auroc: Probability that a cell that has the concept by the reference has the higher value on the map;
            None, as are the other five, where too few cells have or lack it, or they lie in too few blocks.
        auroc_low: Lower end of its interval.
        auroc_high: Upper end.
        spearman: Rank correlation of map and reference, positive where they go together.
        spearman_low: Lower end of its interval.
        spearman_high: Upper end.
        cells: Cells that the agreement rests on.
    """

    name: str
    kind: str
    unit: str
    directness: str
    learned: bool
    higher_means_more: bool
    source: str
    licence: str
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    cells: int = 0

    @property
    def agreement_text(self) -> str:
        """Return "AUROC 0.87 (0.81 to 0.92) over 3,012 cells", or why there is no such number, or no test."""
        if self.auroc is None:
            return "too few cells or blocks to measure how map and reference agree"
        measure, key = ("AUROC", "auroc") if self.kind == "binary" else ("Spearman", "spearman")
        value, low, high = (getattr(self, name) for name in (key, f"{key}_low", f"{key}_high"))
        words = f"{measure} {value:.2f} ({low:.2f} to {high:.2f}) over {self.cells:,} cells"
        return f"{words}; {IN_SAMPLE}" if self.learned else words


class ConceptMap(_Named, _Shown, frozen=True):
    """Where on Earth a concept or a text is, as far as the embeddings of places know.

    Attributes:
        name: Name of the concept, or the text; of a text with unknown words those that count.
        concept_id: Id of the concept; None for a text.
        definition: What the concept means; "" for a text.
        unknown_words: Words of the text that the release does not know, left out of the map.
        uncertain_words: Words of the text whose direction is a guess.
        release: Name and version of the release.
        region: Part of the Earth that the map is cut to; None for the world.
        resolution: H3 resolution of the cells.
        cells: The cells with places, the highest value first.
        reference: Agreement with an open reference; None where there is none.
        card: What a reader must know about the release.
        evidence: Whether open maps confirm what the concept does in the release; see `ConceptContribution`.
    """

    name: str
    concept_id: str | None
    definition: str
    unknown_words: tuple[str, ...]
    uncertain_words: tuple[str, ...]
    release: str
    region: str | None
    resolution: int
    cells: tuple[MapCell, ...]
    reference: MapReference | None
    card: ReleaseCard
    evidence: str = ""

    json_fields = (
        "name", "concept_id", "definition", "evidence", "unknown_words", "uncertain_words", "release",
        "region", "resolution", "reference", "cells",
    )  # fmt: skip

    @property
    def title(self) -> str:
        """What is mapped, and where."""
        return f"{self.shown_as} in {self.region}" if self.region else self.shown_as

    def peaks(self, limit: int, *, apart_km: float = 500.0) -> tuple[MapCell, ...]:
        """Return at most `limit` of the highest cells, each at least `apart_km` from those before it."""
        lat, lon = (np.array([getattr(cell, name) for cell in self.cells]) for name in ("lat", "lon"))
        free = np.ones(len(self.cells), bool)
        found: list[MapCell] = []
        while free.any() and len(found) < limit:
            row = int(np.argmax(free))
            found.append(self.cells[row])
            free &= great_circle_km(lat[row], lon[row], lat, lon) >= apart_km
            free[row] = False
        return tuple(found)

    def to_geojson(self) -> dict[str, Any]:
        """Return a FeatureCollection (RFC 7946) with a polygon for each cell."""
        from whyhere.atlas._pages import feature_collection

        return feature_collection(self)


class ComparedConcept(_Named, Record, frozen=True):
    """One concept on both sides; a positive number means more in the first.

    Attributes:
        id: Concept id in the release.
        name: Concept name for people.
        group: Group of concepts it belongs to.
        mean_a: Mean cosine over the first side, by area.
        mean_b: Mean cosine over the second.
        difference: The first less the second.
        standard_error: Standard error of the difference over spatial blocks; None where a side has only one.
        effect: The difference in standard deviations of the world's cells.
        auroc: Probability that a cell of the first side has more of it than one of the second.
        percentile_a: Mean percentile of the first side's cells among those of the world.
        percentile_b: The same for the second.
        evidence: Whether open maps confirm what the concept does in the release; see `ConceptContribution`.
    """

    id: str
    name: str
    group: str
    mean_a: float
    mean_b: float
    difference: float
    standard_error: float | None
    effect: float
    auroc: float
    percentile_a: float
    percentile_b: float
    evidence: str = ""


class ComparedSide(Record, frozen=True):
    """What stands behind one side.

    Attributes:
        name: What it is called.
        points: Places of the gallery in it.
        cells: Cells that hold them.
        blocks: Spatial blocks of cells, which count as independent.
    """

    name: str
    points: int
    cells: int
    blocks: int


class Comparison(_Shown, frozen=True):
    """Two parts of the Earth, told apart.

    Attributes:
        a: The first side.
        b: The second.
        shared_points: Places that lie in both.
        release: Name and version of the release.
        resolution: H3 resolution of the cells.
        concepts: Every concept of the release: what the first side has more of at the start, what the
            second has more of at the end, by `effect`.
        card: What a reader must know about the release.
    """

    a: ComparedSide
    b: ComparedSide
    shared_points: int
    release: str
    resolution: int
    concepts: tuple[ComparedConcept, ...]
    card: ReleaseCard

    json_fields = ("a", "b", "shared_points", "release", "resolution", "concepts")

    def more_in_a(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that the first side has more of, the strongest first.

        Here and in `more_in_b` those that no open map confirms are left out; see `unconfirmed`.
        """
        return tuple(islice((c for c in self.concepts if c.effect > 0 and not c.unconfirmed), limit))

    def more_in_b(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that the second side has more of, the strongest first."""
        less = (c for c in reversed(self.concepts) if c.effect < 0 and not c.unconfirmed)
        return tuple(islice(less, limit))

    def unconfirmed(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that no open map confirms, what differs most first."""
        found = (concept for concept in self.concepts if concept.unconfirmed)
        return tuple(sorted(found, key=lambda concept: -abs(concept.effect))[:limit])

    def plot(self, *, limit: int = 8) -> Picture:
        """Draw flows from the concepts that differ most to the two sides, as in arXiv 2509.01910, Fig. 4.

        Args:
            limit: Concepts of each side at most.
        """
        from whyhere.atlas._pictures import draw

        return draw(self, limit=limit)
