"""What whyhere answers, and why: frozen records, with `to_dict` for the stable JSON form.

A place with its score, the parts of the score and its probability is an `Answer`, whether it was found, asked
for, or compared with another. The JSON Schemas of `Prediction.to_dict` and `Explanation.to_dict` lie in
`report/prediction.schema.json` and `report/explanation.schema.json`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from whyhere._record import Record, plain
from whyhere.geo import AreaName, LatLon, PlaceName, area_name
from whyhere.picture import Files, Picture, Result
from whyhere.reasons import UNCONFIRMED as UNCONFIRMED
from whyhere.reasons import ConceptContrast, Group, Reasons, grouped, reasons_of
from whyhere.reasons import ConceptContribution as ConceptContribution
from whyhere.reasons import shown_as as shown_as
from whyhere.reasons import unconfirmed as unconfirmed


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57].rstrip()}..."


class Answer(Record, frozen=True):
    """One place with its probability and its score, taken apart.

    Attributes:
        rank: 1 for the most probable place; None for a place that was asked for and is no answer.
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        radius_km: Great-circle radius around the point that `probability` speaks of.
        probability: Probability that the photo was taken within `radius_km` of the point; of an answer less
            what a better answer nearby already counts.
        place: The town nearest to the point, or what else the point itself is called.
        score: Score of the point; the sum of all contributions and the remainder, to 1e-5.
        concepts: Every concept of the release with its contribution, the largest first.
        remainder: What the score holds beyond the named concepts.
        how: How the point was chosen: "answer" of the prediction, "nearest" to a position that was asked
            for, or "best in" a region that was asked for.
        asked: What was asked for, in words; None for the first answer.
        asked_km: Distance of the point from the position that was asked for; None for other choices.
    """

    json_fields: ClassVar[tuple[str, ...]] = (
        *("rank", "lat", "lon", "radius_km", "probability", "area", "place", "score"),
        *("concepts", "remainder", "rests_on"),
    )

    rank: int | None
    lat: float
    lon: float
    radius_km: float
    probability: float
    place: PlaceName
    score: float
    concepts: tuple[ConceptContribution, ...]
    remainder: float
    how: str = "answer"
    asked: str | None = None
    asked_km: float | None = None

    @property
    def groups(self) -> tuple[Group[ConceptContribution], ...]:
        """Every concept by group, the largest subtotal first."""
        return grouped(self.concepts)

    @property
    def reasons(self) -> Reasons[ConceptContribution]:
        """The concepts sorted for people, what the photo shows first, as every format tells them."""
        return reasons_of(self.concepts, remainder=self.remainder)

    @property
    def rests_on(self) -> tuple[str, ...]:
        """See `Reasons.rests_on`."""
        return self.reasons.rests_on

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

    def outline(self) -> dict[str, Any]:
        """Return the JSON form without the concepts."""
        return self.pick(*self.json_fields[:8])

    def taken_apart(self) -> dict[str, Any]:
        """Return the JSON form of a place in an explanation: how it was chosen, and its concepts by group."""
        groups = [
            {
                "name": group.name,
                "contribution": group.contribution,
                "concepts": [{**part.to_dict(), "meaning": part.meaning} for part in group.concepts],
            }
            for group in self.groups
        ]
        return {
            **self.pick("lat", "lon", "place", "how", "asked", "asked_km", "rank", "radius_km"),
            **self.pick("probability", "score"),
            "groups": groups,
            **self.pick("remainder", "rests_on"),
        }


class SurfaceCell(Record, frozen=True):
    """One cell of the probability surface.

    Attributes:
        cell: H3 cell index as a hexadecimal string.
        probability: Probability mass of the cell.
    """

    cell: str
    probability: float


class HintWords(Record, frozen=True):
    """What the asker said about a photo, and what of it was understood.

    Attributes:
        text: The hint as it was given.
        counted: The words and phrases that count, as the vocabulary has them.
        unknown: The words that were left out.
    """

    text: str
    counted: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Assumptions(Record, frozen=True):
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


class UnitShare(Record, frozen=True):
    """The probability of one first-level unit of a country.

    Attributes:
        name: State, province or region, by GeoNames.
        probability: Probability that the photo was taken there.
    """

    name: str
    probability: float


class CountryShare(Record, frozen=True):
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


class Prediction(Result, Record, frozen=True):
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

    json_fields: ClassVar[tuple[str, ...]] = (
        "photo",
        "release",
        "assumptions",
        "abstained",
        "exif_gps",
        "countries",
        "other_countries",
        "answers",
    )

    photo: str
    release: str
    abstained: bool
    exif_gps: LatLon | None
    answers: tuple[Answer, ...]
    surface: tuple[SurfaceCell, ...] = ()
    thumbnail: bytes | None = None
    assumptions: Assumptions = Assumptions()
    countries: tuple[CountryShare, ...] = ()
    card: ReleaseCard | None = None

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
        told = [{"id": id, "meaning": text} for id, text in self.meanings().items()]
        return {**super().to_dict(), "meanings": told}

    def plot(self) -> Picture:
        """Draw the probability and the answers on a map of the world."""
        from whyhere.report import prediction_picture

        return prediction_picture(self)

    def _lines(self) -> tuple[str, str, str]:
        from whyhere.report import prediction_lines

        return prediction_lines(self)

    def _files(self) -> Files:
        from whyhere.report import prediction_files

        return prediction_files(self)


class ReleaseCard(Record, frozen=True):
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


class Contrast(Record, frozen=True):
    """Why here rather than there: the difference of two scores, taken apart.

    Attributes:
        there: The other place.
        score: Difference of the scores, here less there; the sum of concepts and remainder, to 1e-5.
        concepts: Every concept.
        remainder: Difference of the remainders.
    """

    there: Answer
    score: float
    concepts: tuple[ConceptContrast, ...]
    remainder: float

    @property
    def groups(self) -> tuple[Group[ConceptContrast], ...]:
        """Every concept by group, the largest subtotal first."""
        return grouped(self.concepts)

    def to_dict(self) -> dict[str, Any]:
        """Return the other place and the difference as plain values."""
        groups = [
            {"name": group.name, "difference": group.contribution, "concepts": plain(group.concepts)}
            for group in self.groups
        ]
        difference = {"score": self.score, "groups": groups, "remainder": self.remainder}
        return {"there": self.there.taken_apart(), "difference": difference}


class Change(Record, frozen=True):
    """One concept that was changed.

    Attributes:
        id: Concept id in the release.
        name: Name for people.
        group: Group it belongs to.
        before: Strength in the photo, 1 for the photo's strongest concept; see `strengths`.
        after: Strength after the change, in the same unit.
    """

    id: str
    name: str
    group: str
    before: float
    after: float


class Intervention(Record, frozen=True):
    """What the release answers once concepts of the photo were changed.

    Attributes:
        changes: The concepts that were changed, the largest change first; empty where all already were what
            was asked for.
        untouched: Names of concepts that were to be changed and already were what was asked for.
        only: Names of the groups that were kept; empty for all.
        remainder_removed: Whether the remainder was taken out of the score too.
        after: The answers to the changed photo.
        here: The explained point in the score of the changed photo.
        shift_km: Distance from the first answer before to the first answer after.
        radius_km: Radius of the first answer before.
        probability_before: Probability within that radius of the first answer before.
        probability_after: Probability of the same area for the changed photo.
        total_variation: Half the sum of the absolute differences of the two probability surfaces: the
            largest change of the probability of any area, 0 to 1.
    """

    changes: tuple[Change, ...]
    untouched: tuple[str, ...]
    only: tuple[str, ...]
    remainder_removed: bool
    after: Prediction
    here: Answer
    shift_km: float
    radius_km: float
    probability_before: float
    probability_after: float
    total_variation: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values; of the answers what `Explanation.to_dict` says of them."""
        return {
            **self.pick("changes", "untouched", "only", "remainder_removed"),
            "abstained": self.after.abstained,
            "answers": [answer.outline() for answer in self.after.answers],
            "here": self.here.taken_apart(),
            **self.pick("shift_km", "radius_km", "probability_before", "probability_after"),
            **self.pick("total_variation"),
        }


class RegionPicture(Record, frozen=True):
    """A picture that shows which parts of the photo raise a concept.

    Attributes:
        concept_id: The concept.
        png: The picture.
        caption: What it shows, in words.
    """

    json_fields: ClassVar[tuple[str, ...]] = ("concept_id", "caption")

    concept_id: str
    png: bytes
    caption: str = ""


class Explanation(Result, Record, frozen=True):
    """Why one photo was answered as it was.

    Attributes:
        prediction: The answers.
        here: The place that is explained.
        contrast: Why there rather than at another place, where one was named.
        intervention: What changes where concepts are changed, where that was asked for.
        regions: Pictures of the photo by concept, for reports.
    """

    prediction: Prediction
    here: Answer
    contrast: Contrast | None = None
    intervention: Intervention | None = None
    regions: tuple[RegionPicture, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation in its stable JSON form, without surfaces and pictures."""
        found = self.prediction
        return {
            **found.pick("photo", "release", "assumptions", "abstained", "exif_gps", "countries"),
            "other_countries": found.other_countries,
            "answers": [answer.outline() for answer in found.answers],
            "here": self.here.taken_apart(),
            "versus": plain(self.contrast),
            "intervention": plain(self.intervention),
            "regions": plain(self.regions),
        }

    def plot(self) -> Picture:
        """Draw the contributions as bars, by group; the contrast's differences where there is a contrast."""
        from whyhere.report import explanation_picture

        return explanation_picture(self)

    def _lines(self) -> tuple[str, str, str]:
        from whyhere.report import explanation_lines

        return explanation_lines(self)

    def _files(self) -> Files:
        from whyhere.report import explanation_files

        return explanation_files(self)
