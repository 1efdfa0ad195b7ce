"""Where on Earth is it? The map of a concept or of a text, from the embeddings of places alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._reference import MapReference, look_up
from whyhere.atlas._statistics import Array, cell_means, percentiles
from whyhere.geo import cell_string, great_circle_km, lat_lon_of
from whyhere.prediction import ReleaseCard, shown_as, unconfirmed
from whyhere.ranking import CellIndex

if TYPE_CHECKING:
    import os

    from whyhere.picture import Picture

RESOLUTION = 3
"""H3 resolution of maps: cells of 12,400 km2, some 120 km across."""


@dataclass(frozen=True, slots=True)
class MapCell:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, repr=False)
class ConceptMap:
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
    cells: tuple[MapCell, ...] = field(repr=False)
    reference: MapReference | None
    card: ReleaseCard = field(repr=False)
    evidence: str = ""

    @property
    def shown_as(self) -> str:
        """What to call it: with a star where no open map confirms it."""
        return shown_as(self.name, 1.0, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether no open map confirms it, in a release that was put to the test."""
        return unconfirmed(self.evidence)

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

    def to_dict(self) -> dict[str, Any]:
        """Return the map in its stable JSON form."""
        return {
            "name": self.name,
            "concept_id": self.concept_id,
            "definition": self.definition,
            "evidence": self.evidence,
            "unknown_words": list(self.unknown_words),
            "uncertain_words": list(self.uncertain_words),
            "release": self.release,
            "region": self.region,
            "resolution": self.resolution,
            "reference": self.reference.to_dict() if self.reference else None,
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def to_geojson(self) -> dict[str, Any]:
        """Return a FeatureCollection (RFC 7946) with a polygon for each cell."""
        from whyhere.atlas._map_geojson import feature_collection

        return feature_collection(self)

    def plot(self) -> Picture:
        """Draw the map, the open reference below it where there is one."""
        from whyhere.atlas._map_picture import map_picture

        return map_picture(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the map to a file.

        Args:
            path: The suffix says what is written: .json, .geojson,
                .html, .txt, .svg or .png.

        Raises:
            UsageError: The suffix is none of these, or the file cannot be written.
        """
        from whyhere.atlas._shown import map_files
        from whyhere.picture import save_as

        return save_as(path, map_files(self))

    def __repr__(self) -> str:
        """Say the essence in three lines."""
        from whyhere.atlas._shown import map_lines

        return "\n  ".join(line for line in map_lines(self) if line)

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        from whyhere.atlas._shown import map_html

        return map_html(self)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a map is of: see the attributes of `ConceptMap`."""

    name: str
    concept_id: str | None = None
    definition: str = ""
    unknown_words: tuple[str, ...] = ()
    uncertain_words: tuple[str, ...] = ()
    evidence: str = ""
    learned: bool = False  # whether the release has learned the concept from its open reference


def concept_map(
    subject: Subject,
    values: NDArray[np.float32],
    index: CellIndex,
    *,
    lat: Array,
    lon: Array,
    resolution: int,
    inside: NDArray[np.bool_] | None,
    region: str | None,
    release: str,
    card: ReleaseCard,
) -> ConceptMap:
    """Average places in their cells, rank the cells of the world, and cut the map to a region.

    A map of a region is the map of the world, less the other cells: values and percentiles stay the same.
    Where a cell lies, by its `lat` and `lon`, is told by its places in the region alone: part of a cell may
    lie across the border, and a map of Portugal must not name places of Spain.

    Args:
        subject: What the map is of.
        values: Cosine of every place with the concept, float32, shape (n,).
        index: The cells of the places.
        lat: Latitudes of the places, shape (n,).
        lon: Longitudes of them.
        resolution: H3 resolution of the cells.
        inside: Places in the region, shape (n,); None for the world.
        region: Name of the region.
        release: Name and version of the release.
        card: What a reader must know about it.
    """
    means, _ = cell_means(values[:, None], index)
    ranks = percentiles(means[:, 0])
    counts = np.ones(len(lat), bool) if inside is None else inside
    sums = [np.bincount(index.cell_of_point, axis * counts, len(means)) for axis in index.directions.T]
    points = np.bincount(index.cell_of_point[counts], minlength=len(means))
    rows = np.flatnonzero(points)
    rows = rows[np.lexsort((index.cells[rows], -means[rows, 0]))]
    middle_lat, middle_lon = lat_lon_of(np.stack(sums, axis=1)[rows])
    known, reference = look_up(
        subject.concept_id, values, index, learned=subject.learned, lat=lat, lon=lon, inside=inside
    )
    cells = tuple(
        MapCell(
            cell=cell_string(int(index.cells[row])),
            lat=float(middle_lat[rank]),
            lon=float(middle_lon[rank]),
            points=int(points[row]),
            value=float(means[row, 0]),
            percentile=float(ranks[row]),
            reference=None if known is None or np.isnan(known[row]) else float(known[row]),
        )
        for rank, row in enumerate(rows)
    )
    return ConceptMap(
        name=subject.name,
        concept_id=subject.concept_id,
        definition=subject.definition,
        unknown_words=subject.unknown_words,
        uncertain_words=subject.uncertain_words,
        release=release,
        region=region,
        resolution=resolution,
        cells=cells,
        reference=reference,
        card=card,
        evidence=subject.evidence,
    )
