"""Which concepts tell two parts of the Earth apart, from the embeddings of their places."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._statistics import Array, cell_means, column_aurocs, weighted_mean_and_error
from whyhere.concepts import ConceptLabel
from whyhere.geo import cells_of, lat_lon_of
from whyhere.prediction import ReleaseCard, shown_as, unconfirmed
from whyhere.ranking import CellIndex

if TYPE_CHECKING:
    import os

    from whyhere.picture import Picture

_RESOLUTIONS = (3, 4, 5)
_ENOUGH_CELLS = 20
"""The coarsest resolution that gives both sides this many cells is used; the finest where none does."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: What to call it.
        inside: Places of the gallery that lie in it, shape (n,).
    """

    name: str
    inside: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ComparedConcept:
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

    @property
    def shown_as(self) -> str:
        """What to call it: with a star where no open map confirms it."""
        return shown_as(self.name, 1.0, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether no open map confirms it, in a release that was put to the test."""
        return unconfirmed(self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ComparedSide:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
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
    concepts: tuple[ComparedConcept, ...] = field(repr=False)
    card: ReleaseCard = field(repr=False)

    def more_in_a(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that the first side has more of, the strongest first.

        Here and in `more_in_b` those that no open map confirms are left out; see `unconfirmed`.
        """
        return tuple(islice((c for c in self.concepts if c.effect > 0 and not c.unconfirmed), limit))

    def more_in_b(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that the second side has more of, the strongest first."""
        return tuple(
            islice((c for c in reversed(self.concepts) if c.effect < 0 and not c.unconfirmed), limit)
        )

    def unconfirmed(self, limit: int) -> tuple[ComparedConcept, ...]:
        """Return at most `limit` concepts that no open map confirms, what differs most first."""
        found = (concept for concept in self.concepts if concept.unconfirmed)
        return tuple(sorted(found, key=lambda concept: -abs(concept.effect))[:limit])

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison in its stable JSON form."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "shared_points": self.shared_points,
            "release": self.release,
            "resolution": self.resolution,
            "concepts": [concept.to_dict() for concept in self.concepts],
        }

    def plot(self, *, limit: int = 8) -> Picture:
        """Draw flows from the concepts that differ most to the two sides, as in arXiv 2509.01910, Fig. 4.

        Args:
            limit: Concepts of each side at most.
        """
        from whyhere.atlas._sankey import sankey

        return sankey(self, limit=limit)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the comparison to a file.

        Args:
            path: The suffix says what is written: .json, .html, .txt, .svg or .png.

        Raises:
            UsageError: The suffix is none of these, or the file cannot be written.
        """
        from whyhere.atlas._shown import compare_files
        from whyhere.picture import save_as

        return save_as(path, compare_files(self))

    def __repr__(self) -> str:
        """Say the essence in three lines."""
        from whyhere.atlas._shown import compare_lines

        return "\n  ".join(line for line in compare_lines(self) if line)

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        from whyhere.atlas._shown import compare_html

        return compare_html(self)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one side: concepts (m, k), areas (m,) and blocks (m,)."""

    means: Array
    area: Array
    blocks: NDArray[np.uint64]


def compare_sides(
    a: Side,
    b: Side,
    values: NDArray[np.float32],
    *,
    lat: Array,
    lon: Array,
    world: CellIndex,
    concepts: tuple[ConceptLabel, ...],
    release: str,
    card: ReleaseCard,
) -> Comparison:
    """Compare two sides cell by cell, so that cities with many places count no more than the land around.

    The units of the standard error are cells two steps coarser (49 cells each; some 900 km across where cells
    are of resolution 3): neighbours are alike, the more so where embeddings are those of neighbourhoods. What
    is alike over longer distances still makes the error too small.

    Args:
        a: The first side.
        b: The second.
        values: Concepts of every place of the gallery, float32, shape (n, k).
        lat: Latitudes of the places, shape (n,).
        lon: Longitudes of them.
        world: Cells of all places: what "standard deviation" and "percentile" refer to.
        concepts: Names of the concepts.
        release: Name and version of the release.
        card: What a reader must know about it.
    """
    for resolution in _RESOLUTIONS:
        cells = [_cells(side, values, lat, lon, resolution) for side in (a, b)]
        if min(len(side.area) for side in cells) >= _ENOUGH_CELLS:
            break
    first, second = cells
    everywhere, _ = cell_means(values, world)
    spread = np.maximum(everywhere.std(axis=0), 1e-12)
    mean_a, error_a = weighted_mean_and_error(first.means, first.area, first.blocks)
    mean_b, error_b = weighted_mean_and_error(second.means, second.area, second.blocks)
    difference, error = mean_a - mean_b, np.hypot(error_a, error_b)
    effect = difference / spread
    aurocs = column_aurocs(first.means, second.means)
    percentile_a, percentile_b = (_mean_percentiles(side, everywhere) for side in cells)
    return Comparison(
        a=_described(a, first),
        b=_described(b, second),
        shared_points=int((a.inside & b.inside).sum()),
        release=release,
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
                auroc=float(aurocs[j]),
                percentile_a=float(percentile_a[j]),
                percentile_b=float(percentile_b[j]),
                evidence=concepts[j].evidence,
            )
            for j in np.argsort(-effect, kind="stable")
        ),
        card=card,
    )


def _cells(side: Side, values: NDArray[np.float32], lat: Array, lon: Array, resolution: int) -> _Cells:
    index = CellIndex.build(lat[side.inside], lon[side.inside], resolution=resolution)
    means, _ = cell_means(values[side.inside], index)
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
