"""What whyhere answers: frozen records, with `to_dict` for the stable JSON form.

The JSON Schema of `Prediction.to_dict` lies in `report/prediction.schema.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whyhere.geo import LatLon, PlaceName


def shown_as(name: str, strength: float, evidence: str = "") -> str:
    """Return "palm tree", or "less palm tree" where a photo shows less of it than usual.

    A star marks a concept that was put to the test and not confirmed, or could not be tested.
    """
    star = "*" if _unconfirmed(evidence) else ""
    return f"less {name}{star}" if strength < 0 else f"{name}{star}"


def _unconfirmed(evidence: str) -> bool:
    return evidence not in ("", "confirmed")


@dataclass(frozen=True, slots=True)
class ConceptContribution:
    """The share of one concept in one score.

    Attributes:
        id: Concept id in the bank of the release.
        name: Concept name for people.
        group: Group of concepts it belongs to, such as "landform".
        contribution: Signed summand of the score: positive speaks for the place, negative against.
        strength: How much of the photo's answer rests on the concept, as a part of what its strongest concept
            carries: 1 for that one, 0 for a concept that is not used, below 0 where the photo shows less of
            the concept than usual.
        evidence: Whether open maps confirm what the concept does: "confirmed", "undecided", "contradicted",
            "untested" where there is no map of it, or "" where the release was not put to the test.
    """

    id: str
    name: str
    group: str
    contribution: float
    strength: float = 1.0
    evidence: str = ""

    @property
    def shown_as(self) -> str:
        """What to call its part: less of something that is rare in a place speaks for the place too."""
        return shown_as(self.name, self.strength, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether open maps were asked about the concept and did not confirm it, or there is none."""
        return _unconfirmed(self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {
            "id": self.id,
            "name": self.name,
            "group": self.group,
            "contribution": self.contribution,
            "strength": self.strength,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """One place where the photo may have been taken.

    Attributes:
        rank: 1 for the most probable place.
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        radius_km: Great-circle radius around the point that `probability` speaks of.
        probability: Probability that the photo was taken within `radius_km` of the point, less what a
            better answer nearby already counts.
        place: What the point is called.
        score: Score of the point; the sum of all contributions and the remainder, to 1e-5.
        concepts: Every concept of the bank with its contribution, the largest first.
        remainder: What the score holds beyond the named concepts.
    """

    rank: int
    lat: float
    lon: float
    radius_km: float
    probability: float
    place: PlaceName
    score: float
    concepts: tuple[ConceptContribution, ...]
    remainder: float

    def supporting(self, limit: int) -> tuple[ConceptContribution, ...]:
        """Return at most `limit` concepts that speak for the place, the strongest first."""
        return tuple(concept for concept in self.concepts[:limit] if concept.contribution > 0)

    def opposing(self, limit: int) -> tuple[ConceptContribution, ...]:
        """Return at most `limit` concepts that speak against the place, the strongest first."""
        return tuple(concept for concept in self.concepts[::-1][:limit] if concept.contribution < 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer in its stable JSON form."""
        return {
            "rank": self.rank,
            "lat": self.lat,
            "lon": self.lon,
            "radius_km": self.radius_km,
            "probability": self.probability,
            "place": self.place.to_dict(),
            "score": self.score,
            "concepts": [concept.to_dict() for concept in self.concepts],
            "remainder": self.remainder,
        }


@dataclass(frozen=True, slots=True)
class SurfaceCell:
    """One cell of the probability surface.

    Attributes:
        cell: H3 cell index as a hexadecimal string.
        probability: Probability mass of the cell.
    """

    cell: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Everything whyhere says about one photo.

    Attributes:
        photo: The photo as the caller named it.
        release: Name and version of the release that answered, such as "base 0.1.0".
        abstained: True where no place stands out; the answers are then only the least unlikely ones.
        exif_gps: Position that the photo's own metadata claims, never used to answer; None without one.
        answers: Places in falling probability, each a different one.
        surface: Probability over the Earth, the cells that hold mass worth drawing, in falling probability.
        thumbnail: A small JPEG of the photo for reports, or None where nobody asked for one.
    """

    photo: str
    release: str
    abstained: bool
    exif_gps: LatLon | None
    answers: tuple[Answer, ...]
    surface: tuple[SurfaceCell, ...] = field(default=(), repr=False)
    thumbnail: bytes | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction in its stable JSON form, without surface and thumbnail."""
        return {
            "photo": self.photo,
            "release": self.release,
            "abstained": self.abstained,
            "exif_gps": self.exif_gps.to_dict() if self.exif_gps else None,
            "answers": [answer.to_dict() for answer in self.answers],
        }


@dataclass(frozen=True, slots=True)
class ReleaseCard:
    """What a reader of a report must know about the release that answered.

    Attributes:
        name: Release name, such as "base".
        version: Release version.
        summary: One sentence: what it is made of.
        accuracy: One sentence: measured accuracy with its uncertainty.
        limits: Sentences, each a known limit.
        attribution: Sentences that licences ask for (weights, photos, GeoNames, map).
    """

    name: str
    version: str
    summary: str
    accuracy: str
    limits: tuple[str, ...]
    attribution: tuple[str, ...]
