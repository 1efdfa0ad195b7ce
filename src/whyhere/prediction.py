"""What whyhere answers: frozen records, with `to_dict` for the stable JSON form.

The JSON Schema of `Prediction.to_dict` lies in `report/prediction.schema.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyhere.geo import AreaName, LatLon, PlaceName, area_name
from whyhere.reasons import Reasons, reasons_of

if TYPE_CHECKING:
    import os

    from whyhere.picture import Picture

UNCONFIRMED = "* no open map confirms what this concept does in the model; see the model card."
"""What is said wherever a concept has a star; see `shown_as`."""


def shown_as(name: str, strength: float, evidence: str = "") -> str:
    """Return "palm tree", or "less palm tree" where a photo shows less of it than usual.

    A star marks a concept that was put to the test and not confirmed, or could not be tested.
    """
    star = "*" if unconfirmed(evidence) else ""
    return f"less {name}{star}" if strength < 0 else f"{name}{star}"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57].rstrip()}..."


def unconfirmed(evidence: str) -> bool:
    """Tell whether open maps were asked about a concept and did not confirm it, or there is none."""
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
        meaning: Where the release has the concept by its own map, "mostly Norway and Alaska"; of a landmark
            which photo of it looks alike, how far off, and by whom; "" where nobody asked.
    """

    id: str
    name: str
    group: str
    contribution: float
    strength: float = 1.0
    evidence: str = ""
    meaning: str = field(default="", repr=False)

    @property
    def shown_as(self) -> str:
        """What to call its part: less of something that is rare in a place speaks for the place too."""
        return shown_as(self.name, self.strength, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether open maps were asked about the concept and did not confirm it, or there is none."""
        return unconfirmed(self.evidence)

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
        place: The town nearest to the point, or what else the point itself is called.
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

    @property
    def reasons(self) -> Reasons[ConceptContribution]:
        """The concepts sorted for people, what the photo shows first, as every format tells them."""
        return reasons_of(self.concepts, remainder=self.remainder)

    @property
    def area(self) -> AreaName:
        """What to call the place: a name that is no more precise than `radius_km`."""
        return area_name(self.lat, self.lon, self.radius_km)

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
            "area": self.area.to_dict(),
            "place": self.place.to_dict(),
            "score": self.score,
            "concepts": [concept.to_dict() for concept in self.concepts],
            "remainder": self.remainder,
            "rests_on": list(self.reasons.rests_on),
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
class HintWords:
    """What the asker said about a photo, and what of it was understood.

    Attributes:
        text: The hint as it was given.
        counted: The words and phrases that count, as the vocabulary has them.
        unknown: The words that were left out.
    """

    text: str
    counted: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {"text": self.text, "counted": list(self.counted), "unknown": list(self.unknown)}


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What an answer takes for granted besides the photo and the release; false where that is nothing.

    Attributes:
        region: Name of the region that answers are restricted to, or None.
        hint: The asker's hint, or None.
        unaided_probability: Probability of the first answer from the photo alone, without region and hint;
            None where nothing is assumed.
    """

    region: str | None = None
    hint: HintWords | None = None
    unaided_probability: float | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is assumed."""
        return self.region is not None or self.hint is not None

    def __str__(self) -> str:
        """Say it after a probability, with names cut at 60 characters; empty for nothing.

        >>> print(Assumptions("Finland", HintWords("at the beach", ("beach",), ("at", "the"))))
        assuming Finland, given the hint beach
        """
        parts = [] if self.region is None else [f"assuming {_cut(self.region)}"]
        if self.hint is not None:
            parts.append(f"given the hint {_cut(', '.join(self.hint.counted))}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {
            "region": self.region,
            "hint": self.hint.to_dict() if self.hint else None,
            "unaided_probability": self.unaided_probability,
        }


@dataclass(frozen=True, slots=True)
class UnitShare:
    """The probability of one first-level unit of a country.

    Attributes:
        name: State, province or region, by GeoNames.
        probability: Probability that the photo was taken there.
    """

    name: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {"name": self.name, "probability": self.probability}


@dataclass(frozen=True, slots=True)
class CountryShare:
    """The probability of one country, or of the open sea.

    Attributes:
        code: ISO 3166-1 alpha-2 code, or None for the open sea.
        name: English name; "open sea" for the sea.
        probability: Probability that the photo was taken there.
        units: Its first-level units worth listing, in falling probability; the rest lies elsewhere in it.
    """

    code: str | None
    name: str
    probability: float
    units: tuple[UnitShare, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {
            "code": self.code,
            "name": self.name,
            "probability": self.probability,
            "units": [unit.to_dict() for unit in self.units],
        }


@dataclass(frozen=True, slots=True, repr=False)
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
        assumptions: What the probabilities take for granted: all hold only where it is true.
        countries: Probability by country in falling order, those worth listing, the open sea among them.
        card: What a reader must know about the release, for files and notebooks; None where nobody said.
    """

    photo: str
    release: str
    abstained: bool
    exif_gps: LatLon | None
    answers: tuple[Answer, ...]
    surface: tuple[SurfaceCell, ...] = field(default=(), repr=False)
    thumbnail: bytes | None = field(default=None, repr=False)
    assumptions: Assumptions = Assumptions()
    countries: tuple[CountryShare, ...] = ()
    card: ReleaseCard | None = field(default=None, repr=False, compare=False)

    @property
    def other_countries(self) -> float:
        """Probability of all that `countries` does not list; the two add up to 1."""
        return max(0.0, 1.0 - sum(country.probability for country in self.countries))

    def meanings(self, limit: int = 5) -> dict[str, str]:
        """Return by id where the release has the concepts told first, `limit` for and against each answer.

        "mostly Norway and Alaska": from the release's own map of the concept, not from the photo.
        """
        sorted_for_people = [answer.reasons for answer in self.answers]
        told = (c for r in sorted_for_people for c in (*r.speaking[:limit], *r.against[:limit]))
        return {concept.id: concept.meaning for concept in told if concept.meaning}

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction in its stable JSON form, without surface and thumbnail."""
        return {
            "photo": self.photo,
            "release": self.release,
            "assumptions": self.assumptions.to_dict(),
            "abstained": self.abstained,
            "exif_gps": self.exif_gps.to_dict() if self.exif_gps else None,
            "countries": [country.to_dict() for country in self.countries],
            "other_countries": self.other_countries,
            "answers": [answer.to_dict() for answer in self.answers],
            "meanings": [{"id": id, "meaning": text} for id, text in self.meanings().items()],
        }

    def plot(self) -> Picture:
        """Draw the probability and the answers on a map of the world."""
        from whyhere.report._shown import prediction_picture

        return prediction_picture(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the prediction to a file.

        Args:
            path: The suffix says what is written: .json, .jsonl, .csv, .geojson, .kml, .gpx,
                .html, .txt, .svg or .png.

        Raises:
            UsageError: The suffix is none of these, or the file cannot be written.
        """
        from whyhere.picture import save_as
        from whyhere.report._shown import prediction_files

        return save_as(path, prediction_files(self))

    def __repr__(self) -> str:
        """Say the essence in three lines."""
        from whyhere.report._shown import prediction_lines

        return "\n  ".join(line for line in prediction_lines(self) if line)

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        from whyhere.report._shown import prediction_html

        return prediction_html(self)


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
