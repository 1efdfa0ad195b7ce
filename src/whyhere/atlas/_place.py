"""The concept profile of a place: against its region, against the world, and who is like it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.atlas._statistics import Array, weighted_percentiles
from whyhere.concepts import ConceptLabel
from whyhere.gallery import Gallery
from whyhere.geo import LatLon, PlaceName, great_circle_km, place_names
from whyhere.prediction import ReleaseCard, shown_as, unconfirmed
from whyhere.ranking import CellIndex

if TYPE_CHECKING:
    import os

    from whyhere.picture import Picture

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


@dataclass(frozen=True, slots=True)
class PlaceConcept:
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
class SimilarPlace:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in their stable JSON form."""
        return {**asdict(self), "place": self.place.to_dict(), "shared": list(self.shared)}


@dataclass(frozen=True, slots=True, repr=False)
class PlaceProfile:
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
    concepts: tuple[PlaceConcept, ...] = field(repr=False)
    similar: tuple[SimilarPlace, ...]
    card: ReleaseCard = field(repr=False)

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

    def to_dict(self) -> dict[str, Any]:
        """Return the profile in its stable JSON form."""
        return {
            "lat": self.lat,
            "lon": self.lon,
            "place": self.place.to_dict(),
            "release": self.release,
            "region": self.region,
            "region_points": self.region_points,
            "nearest_km": self.nearest_km,
            "far": self.far,
            "concepts": [concept.to_dict() for concept in self.concepts],
            "similar": [place.to_dict() for place in self.similar],
        }

    def plot(self) -> Picture:
        """Draw what stands out, and the similar places on a map."""
        from whyhere.atlas._place_picture import place_picture

        return place_picture(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the profile to a file.

        Args:
            path: The suffix says what is written: .json, .html, .txt, .svg or .png.

        Raises:
            UsageError: The suffix is none of these, or the file cannot be written.
        """
        from whyhere.atlas._shown import place_files
        from whyhere.picture import save_as

        return save_as(path, place_files(self))

    def __repr__(self) -> str:
        """Say the essence in three lines."""
        from whyhere.atlas._shown import place_lines

        return "\n  ".join(line for line in place_lines(self) if line)

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        from whyhere.atlas._shown import place_html

        return place_html(self)


def place_profile(
    position: LatLon,
    own: NDArray[np.float32],
    values: NDArray[np.float32],
    *,
    index: CellIndex,
    gallery: Gallery,
    codes: NDArray[np.object_],
    concepts: tuple[ConceptLabel, ...],
    similar: int,
    release: str,
    card: ReleaseCard,
) -> PlaceProfile:
    """Compare a place with the places of the gallery, each weighing the area that it stands for.

    Args:
        position: The place.
        own: Its concepts, float32, shape (k,).
        values: Those of the gallery, float32, shape (n, k).
        index: The cells of the gallery's places: a cell counts by its area, however many places it holds.
        gallery: The gallery.
        codes: Country code of each of its places, None at sea, shape (n,).
        concepts: Names of the concepts.
        similar: How many similar places to look for.
        release: Name and version of the release.
        card: What a reader must know about it.
    """
    km = great_circle_km(position.lat, position.lon, gallery.lat, gallery.lon)
    (name,) = place_names(position.lat, position.lon)
    region, inside = _region(name, km, codes)
    everywhere = np.ones(len(gallery), bool)
    weights = _weights(index, everywhere)
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
        near = _weights(index, inside)[inside]
        local = weighted_percentiles(own.astype(np.float64), values[inside], near)
    nearest_km = float(km.min())
    return PlaceProfile(
        lat=position.lat,
        lon=position.lon,
        place=name,
        release=release,
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
        similar=_similar(deviation, profiles, km, gallery, concepts, similar),
        card=card,
    )


def _region(name: PlaceName, km: Array, codes: NDArray[np.object_]) -> tuple[str | None, NDArray[np.bool_]]:
    """Return the country where it holds enough places, else the surroundings, else nothing."""
    if name.country_code is not None:
        inside = np.asarray(codes == name.country_code, bool)
        if inside.sum() >= FEWEST:
            return name.country, inside
    inside = km <= REGION_KM
    return (f"within {REGION_KM:.0f} km" if inside.sum() >= FEWEST else None), inside


def _weights(index: CellIndex, inside: NDArray[np.bool_]) -> Array:
    """Share the area of each cell among its places inside; none to the others. Shape (n,)."""
    count = np.bincount(index.cell_of_point, inside, len(index.cells))
    weights: Array = (index.area_km2 / np.maximum(count, 1))[index.cell_of_point] * inside
    return weights


def _similar(
    own: NDArray[np.float32],
    profiles: NDArray[np.float32],
    km: Array,
    gallery: Gallery,
    concepts: tuple[ConceptLabel, ...],
    wanted: int,
) -> tuple[SimilarPlace, ...]:
    """Take the best place that is far enough away from here and from those taken, again and again."""
    lengths = np.sqrt(np.einsum("nk,nk->n", profiles, profiles)) * np.linalg.norm(own)
    cosines = profiles @ own / np.maximum(lengths, 1e-12)
    free = km >= ELSEWHERE_KM
    rows: list[int] = []
    while free.any() and len(rows) < wanted:
        row = int(np.argmax(np.where(free, cosines, -np.inf)))
        rows.append(row)
        free &= great_circle_km(gallery.lat[row], gallery.lon[row], gallery.lat, gallery.lon) >= APART_KM
    if not rows:
        return ()
    names = place_names(gallery.lat[rows], gallery.lon[rows])
    return tuple(
        SimilarPlace(
            lat=float(gallery.lat[row]),
            lon=float(gallery.lon[row]),
            place=name,
            similarity=float(cosines[row]),
            distance_km=float(km[row]),
            shared=_shared(own, profiles[row], concepts),
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
