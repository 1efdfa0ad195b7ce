"""Profiles, maps and comparisons, computed from the concepts of the places of a gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._results import (
    ComparedConcept,
    ComparedSide,
    Comparison,
    ConceptMap,
    MapCell,
    MapReference,
    PlaceConcept,
    PlaceProfile,
    SimilarPlace,
)
from whyhere.concepts import ConceptLabel
from whyhere.geo import LatLon, PlaceName, cell_string, cells_of, great_circle_km, lat_lon_of, place_names
from whyhere.prediction import unconfirmed
from whyhere.ranking import CellIndex
from whyhere.references import agreement
from whyhere.stats import auroc, percentiles, weighted_mean_and_error, weighted_percentiles

if TYPE_CHECKING:
    from whyhere.atlas._atlas import Atlas

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RESOLUTION = 3
"""H3 resolution of maps: cells of 12,400 km2, some 120 km across."""
REGION_KM = 500.0
"""Where the country is unknown or holds too few places, this far around counts as the region."""
ELSEWHERE_KM = 1000.0
"""Similar places are at least this far away."""
APART_KM = 500.0
"""Similar places are at least this far from each other."""
FAR_KM = 200.0
"""Beyond this distance from any place of the gallery, a profile is an extrapolation, and says so."""
FEWEST = 20
"""Places that a region must hold to be compared with."""

_SHARED = 3
_RESOLUTIONS = (3, 4, 5)  # of comparisons: the coarsest that gives both sides enough cells, else the finest
_ENOUGH_CELLS = 20


def place_profile(atlas: Atlas, position: LatLon, *, similar: int) -> PlaceProfile:
    """Compare a place with the places of the gallery, each weighing the area that it stands for."""
    gallery, values, concepts = atlas.gallery, atlas.values, atlas.concepts
    own = atlas.concepts_at(position)
    km = great_circle_km(position.lat, position.lon, gallery.lat, gallery.lon)
    (name,) = place_names(position.lat, position.lon)
    region, inside = _region(name, km, atlas.codes)
    index = atlas.cells(RESOLUTION)
    weights = _area_weights(index, np.ones(len(gallery), bool))
    share = weights / weights.sum()
    # Summed in float64 without a wide copy of the bank; the profiles themselves stay float32.
    mean = np.einsum("n,nk->k", share, values).astype(np.float32)
    profiles = values - mean
    spread = np.sqrt(np.maximum(np.einsum("n,nk,nk->k", share, profiles, profiles), 1e-12)).astype(np.float32)
    profiles /= spread
    deviation = (own - mean) / spread
    world = weighted_percentiles(own.astype(np.float64), values, weights)
    local = None
    if region is not None:
        near = _area_weights(index, inside)[inside]
        local = weighted_percentiles(own.astype(np.float64), values[inside], near)
    nearest_km = float(km.min())
    return PlaceProfile(
        lat=position.lat,
        lon=position.lon,
        place=name,
        release=atlas.release,
        region=region,
        region_points=int(inside.sum()) if region is not None else 0,
        nearest_km=nearest_km,
        far=nearest_km > FAR_KM,
        concepts=tuple(
            PlaceConcept(
                id=concepts[j].id,
                name=concepts[j].name,
                group=concepts[j].group,
                value=float(own[j]),
                world_percentile=float(world[j]),
                region_percentile=None if local is None else float(local[j]),
                deviation=float(deviation[j]),
                evidence=concepts[j].evidence,
            )
            for j in np.argsort(-deviation, kind="stable")
        ),
        similar=_similar(atlas, deviation, profiles, km, similar),
        card=atlas.card,
    )


def _region(name: PlaceName, km: Array, codes: NDArray[np.object_]) -> tuple[str | None, Mask]:
    """Return the country where it holds enough places, else the surroundings, else nothing."""
    if name.country_code is not None:
        inside = np.asarray(codes == name.country_code, bool)
        if inside.sum() >= FEWEST:
            return name.country, inside
    inside = km <= REGION_KM
    return (f"within {REGION_KM:.0f} km" if inside.sum() >= FEWEST else None), inside


def _area_weights(index: CellIndex, inside: Mask) -> Array:
    """Share the area of each cell among its places inside; none to the others. Shape (n,)."""
    count = np.bincount(index.cell_of_point, inside, len(index.cells))
    weights: Array = (index.area_km2 / np.maximum(count, 1))[index.cell_of_point] * inside
    return weights


def _similar(
    atlas: Atlas, own: NDArray[np.float32], profiles: NDArray[np.float32], km: Array, wanted: int
) -> tuple[SimilarPlace, ...]:
    """Take the best place that is far enough away from here and from those taken, again and again."""
    gallery = atlas.gallery
    lengths = np.sqrt(np.einsum("nk,nk->n", profiles, profiles)) * np.linalg.norm(own)
    cosines = profiles @ own / np.maximum(lengths, 1e-12)
    free = km >= ELSEWHERE_KM
    rows: list[int] = []
    while free.any() and len(rows) < wanted:
        row = int(np.argmax(np.where(free, cosines, -np.inf)))
        rows.append(row)
        free &= great_circle_km(gallery.lat[row], gallery.lon[row], gallery.lat, gallery.lon) >= APART_KM
    names = place_names(gallery.lat[rows], gallery.lon[rows]) if rows else []
    return tuple(
        SimilarPlace(
            lat=float(gallery.lat[row]),
            lon=float(gallery.lon[row]),
            place=name,
            similarity=float(cosines[row]),
            distance_km=float(km[row]),
            shared=_shared(own, profiles[row], atlas.concepts),
        )
        for row, name in zip(rows, names, strict=True)
    )


def _shared(
    own: NDArray[np.float32], other: NDArray[np.float32], concepts: tuple[ConceptLabel, ...]
) -> tuple[str, ...]:
    """Name what both have more of than the world; what both lack makes them alike, too, but is not shared."""
    told = np.array([not unconfirmed(concept.evidence) for concept in concepts], bool)
    both = np.where((own > 0) & (other > 0) & told, own * other, 0.0)
    order = np.argsort(-both, kind="stable")[:_SHARED]
    return tuple(concepts[j].name for j in order if both[j] > 0)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a map is of: see the attributes of `ConceptMap`.

    Attributes:
        values: Cosine of every place with it, float32, shape (n,).
        label: The concept; None for a text.
        learned: Whether the release has learned the concept from its open reference.
    """

    values: NDArray[np.float32]
    name: str
    label: ConceptLabel | None = None
    learned: bool = False
    unknown_words: tuple[str, ...] = ()
    uncertain_words: tuple[str, ...] = ()


def concept_map(
    atlas: Atlas, subject: Subject, *, resolution: int, inside: Mask | None, region: str | None
) -> ConceptMap:
    """Average places in their cells, rank the cells of the world, and cut the map to a region.

    A map of a region is the map of the world, less the other cells: values and percentiles stay the same.
    Where a cell lies, by its `lat` and `lon`, is told by its places in the region alone: part of a cell may
    lie across the border, and a map of Portugal must not name places of Spain.
    """
    label, index = subject.label, atlas.cells(resolution)
    means = index.mean(subject.values)
    ranks = percentiles(means)
    counts = np.ones(len(subject.values), bool) if inside is None else inside
    sums = [np.bincount(index.cell_of_point, axis * counts, len(means)) for axis in index.directions.T]
    points = np.bincount(index.cell_of_point[counts], minlength=len(means))
    rows = np.flatnonzero(points)
    rows = rows[np.lexsort((index.cells[rows], -means[rows]))]
    middle_lat, middle_lon = lat_lon_of(np.stack(sums, axis=1)[rows])
    known, reference = _look_up(atlas, subject, index, counts)
    cells = tuple(
        MapCell(
            cell=cell_string(int(index.cells[row])),
            lat=float(middle_lat[rank]),
            lon=float(middle_lon[rank]),
            points=int(points[row]),
            value=float(means[row]),
            percentile=float(ranks[row]),
            reference=None if known is None or np.isnan(known[row]) else float(known[row]),
        )
        for rank, row in enumerate(rows)
    )
    return ConceptMap(
        name=subject.name,
        concept_id=label.id if label else None,
        definition=label.definition if label else "",
        unknown_words=subject.unknown_words,
        uncertain_words=subject.uncertain_words,
        release=atlas.release,
        region=region,
        resolution=resolution,
        cells=cells,
        reference=reference,
        card=atlas.card,
        evidence=label.evidence if label else "",
    )


def _look_up(
    atlas: Atlas, subject: Subject, index: CellIndex, chosen: Mask
) -> tuple[Array | None, MapReference | None]:
    """Return what the open reference of a concept says in each cell, (m,), and how well the map agrees.

    Agreement is measured over the `chosen` places, (n,). Both are None where there is no reference.
    """
    reference = atlas.reference_for(subject.label.id) if subject.label else None
    if reference is None:
        return None, None
    lat, lon = atlas.gallery.lat, atlas.gallery.lon
    there = reference.values(lat, lon)
    known = ~np.isnan(there)
    means = np.where(index.mean(known) > 0, index.mean(there, known), np.nan)
    found = agreement(subject.values[chosen], reference, lat=lat[chosen], lon=lon[chosen])
    figures = ("auroc", "auroc_low", "auroc_high", "spearman", "spearman_low", "spearman_high", "cells")
    return means, MapReference(
        name=reference.name,
        kind=reference.kind,
        unit=reference.unit,
        directness=reference.directness,
        learned=subject.learned,
        higher_means_more=reference.higher_means_more,
        source=reference.source,
        licence=reference.licence,
        **{name: getattr(found, name) for name in figures if found},
    )


class Side(NamedTuple):
    """One side of a comparison: what to call it, and which places of the gallery lie in it, shape (n,)."""

    name: str
    inside: Mask


class _Cells(NamedTuple):
    """The cells of one side: concepts (m, k), areas (m,) and blocks (m,)."""

    means: Array
    area: Array
    blocks: NDArray[np.uint64]


def compare_sides(atlas: Atlas, a: Side, b: Side) -> Comparison:
    """Compare the concepts of two sets of places, every cell by its area."""
    for resolution in _RESOLUTIONS:
        first, second = (_cells(atlas, side, resolution) for side in (a, b))
        if min(len(first.area), len(second.area)) >= _ENOUGH_CELLS:
            break
    everywhere = atlas.cells(RESOLUTION).mean(atlas.values)
    spread = np.maximum(everywhere.std(axis=0), 1e-12)
    mean_a, error_a = weighted_mean_and_error(first.means, first.area, first.blocks)
    mean_b, error_b = weighted_mean_and_error(second.means, second.area, second.blocks)
    difference, error = mean_a - mean_b, np.hypot(error_a, error_b)
    effect = difference / spread
    percentile_a, percentile_b = (_mean_percentiles(side, everywhere) for side in (first, second))
    both = np.vstack((first.means, second.means))
    in_first = np.arange(len(both)) < len(first.area)
    concepts = atlas.concepts
    return Comparison(
        a=_described(a, first),
        b=_described(b, second),
        shared_points=int((a.inside & b.inside).sum()),
        release=atlas.release,
        resolution=resolution,
        concepts=tuple(
            ComparedConcept(
                id=concepts[j].id,
                name=concepts[j].name,
                group=concepts[j].group,
                mean_a=float(mean_a[j]),
                mean_b=float(mean_b[j]),
                difference=float(difference[j]),
                standard_error=None if np.isnan(error[j]) else float(error[j]),
                effect=float(effect[j]),
                auroc=auroc(both[:, j], in_first) or 0.0,
                percentile_a=float(percentile_a[j]),
                percentile_b=float(percentile_b[j]),
                evidence=concepts[j].evidence,
            )
            for j in np.argsort(-effect, kind="stable")
        ),
        card=atlas.card,
    )


def _cells(atlas: Atlas, side: Side, resolution: int) -> _Cells:
    lat, lon = atlas.gallery.lat[side.inside], atlas.gallery.lon[side.inside]
    index = CellIndex.build(lat, lon, resolution=resolution)
    means = index.mean(atlas.values[side.inside])
    return _Cells(means, index.area_km2, cells_of(*lat_lon_of(index.centres()), resolution - 2))


def _described(side: Side, cells: _Cells) -> ComparedSide:
    return ComparedSide(side.name, int(side.inside.sum()), len(cells.area), len(np.unique(cells.blocks)))


def _mean_percentiles(side: _Cells, everywhere: Array) -> Array:
    """Place the cells of a side among those of the world, and average by area."""
    ordered = np.sort(everywhere, axis=0)
    shares = np.empty_like(side.means)
    for column, (known, own) in enumerate(zip(ordered.T, side.means.T, strict=True)):
        below = np.searchsorted(known, own, "left") + np.searchsorted(known, own, "right")
        shares[:, column] = 50.0 * below / len(known)
    mean: Array = side.area @ shares / side.area.sum()
    return mean
