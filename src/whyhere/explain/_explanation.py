"""What an explanation says: frozen records, with `to_dict` for the stable JSON form.

The JSON Schema of `Explanation.to_dict` lies in `report/explanation.schema.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyhere.explain._intervene import Change
from whyhere.explain._plain import plain_fields
from whyhere.geo import AreaName, PlaceName, area_name
from whyhere.prediction import Answer, ConceptContribution, Prediction, shown_as
from whyhere.reasons import Reasons, reasons_of

if TYPE_CHECKING:
    import os

    from whyhere.picture import Picture


@dataclass(frozen=True, slots=True)
class GroupParts:
    """The concepts of one group in the score of one place.

    Attributes:
        name: Name of the group.
        contribution: Sum over its concepts.
        concepts: Its concepts, the largest contribution first.
    """

    name: str
    contribution: float
    concepts: tuple[ConceptContribution, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class PlaceParts:
    """The score of one place, taken apart.

    Attributes:
        lat: Latitude of the gallery point in degrees.
        lon: Longitude in degrees.
        place: The town nearest to it, or what else the point itself is called.
        how: How the point was chosen: "answer" of the prediction, "nearest" to a position that was asked
            for, or "best in" a region that was asked for.
        asked: What was asked for, in words; None for the first answer.
        asked_km: Distance of the point from the position that was asked for; None for other choices.
        rank: Rank of the answer that stands at this point; None where none does.
        radius_km: Radius that `probability` speaks of.
        probability: Probability that the photo was taken within `radius_km` of the point.
        score: Score: the sum of all groups and the remainder, to 1e-5.
        groups: Every concept of the release by group, the largest subtotal first.
        remainder: What the score holds beyond the named concepts.
    """

    lat: float
    lon: float
    place: PlaceName
    how: str
    asked: str | None
    asked_km: float | None
    rank: int | None
    radius_km: float
    probability: float
    score: float
    groups: tuple[GroupParts, ...]
    remainder: float

    @property
    def area(self) -> AreaName:
        """What to call the place: a name that is no more precise than `radius_km`."""
        return area_name(self.lat, self.lon, self.radius_km)

    @property
    def concepts(self) -> tuple[ConceptContribution, ...]:
        """Every concept, the largest contribution first."""
        parts = (concept for group in self.groups for concept in group.concepts)
        return tuple(sorted(parts, key=lambda concept: -concept.contribution))

    @property
    def reasons(self) -> Reasons[ConceptContribution]:
        """The concepts sorted for people; see `Answer.reasons`."""
        return reasons_of(self.concepts, remainder=self.remainder)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {**plain_fields(self), "rests_on": list(self.reasons.rests_on)}


@dataclass(frozen=True, slots=True)
class ConceptContrast:
    """One concept in the difference of two scores.

    Attributes:
        id: Concept id in the release.
        name: Name for people.
        group: Group it belongs to.
        strength: How strongly the photo shows it.
        here: Contribution to the score of the place that is explained.
        there: Contribution to the score of the other place.
        difference: `here` less `there`.
        evidence: See `ConceptContribution`.
    """

    id: str
    name: str
    group: str
    strength: float
    here: float
    there: float
    difference: float
    evidence: str = ""

    @property
    def shown_as(self) -> str:
        """What to call its part."""
        return shown_as(self.name, self.strength, self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class GroupContrast:
    """The concepts of one group in the difference of two scores.

    Attributes:
        name: Name of the group.
        difference: Sum over its concepts.
        concepts: Its concepts, the largest difference first.
    """

    name: str
    difference: float
    concepts: tuple[ConceptContrast, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Why here rather than there: the difference of two scores, taken apart.

    Attributes:
        there: The other place.
        score: Difference of the scores, here less there; the sum of groups and remainder, to 1e-5.
        groups: Every concept by group, the largest subtotal first.
        remainder: Difference of the remainders.
    """

    there: PlaceParts
    score: float
    groups: tuple[GroupContrast, ...]
    remainder: float

    def to_dict(self) -> dict[str, Any]:
        """Return the other place and the difference as plain values."""
        return {
            "there": self.there.to_dict(),
            "difference": {
                "score": self.score,
                "groups": [group.to_dict() for group in self.groups],
                "remainder": self.remainder,
            },
        }


@dataclass(frozen=True, slots=True)
class Intervention:
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
    here: PlaceParts
    shift_km: float
    radius_km: float
    probability_before: float
    probability_after: float
    total_variation: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values; of the answers what `Explanation.to_dict` says of them."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "untouched": list(self.untouched),
            "only": list(self.only),
            "remainder_removed": self.remainder_removed,
            "abstained": self.after.abstained,
            "answers": [_answer(answer) for answer in self.after.answers],
            "here": self.here.to_dict(),
            "shift_km": self.shift_km,
            "radius_km": self.radius_km,
            "probability_before": self.probability_before,
            "probability_after": self.probability_after,
            "total_variation": self.total_variation,
        }


@dataclass(frozen=True, slots=True)
class RegionPicture:
    """A picture that shows which parts of the photo raise a concept.

    Attributes:
        concept_id: The concept.
        png: The picture.
        caption: What it shows, in words.
    """

    concept_id: str
    png: bytes = field(repr=False)
    caption: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return concept and caption, without the picture."""
        return {"concept_id": self.concept_id, "caption": self.caption}


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Why one photo was answered as it was.

    Attributes:
        prediction: The answers.
        here: The place that is explained.
        contrast: Why there rather than at another place, where one was named.
        intervention: What changes where concepts are changed, where that was asked for.
        regions: Pictures of the photo by concept, for reports.
    """

    prediction: Prediction
    here: PlaceParts
    contrast: Contrast | None = None
    intervention: Intervention | None = None
    regions: tuple[RegionPicture, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation in its stable JSON form, without surfaces and pictures."""
        return {
            "photo": self.prediction.photo,
            "release": self.prediction.release,
            "assumptions": self.prediction.assumptions.to_dict(),
            "abstained": self.prediction.abstained,
            "exif_gps": self.prediction.exif_gps.to_dict() if self.prediction.exif_gps else None,
            "countries": [country.to_dict() for country in self.prediction.countries],
            "other_countries": self.prediction.other_countries,
            "answers": [_answer(answer) for answer in self.prediction.answers],
            "here": self.here.to_dict(),
            "versus": self.contrast.to_dict() if self.contrast else None,
            "intervention": self.intervention.to_dict() if self.intervention else None,
            "regions": [picture.to_dict() for picture in self.regions],
        }

    def plot(self) -> Picture:
        """Draw the contributions as bars, by group; the contrast's differences where there is a contrast."""
        from whyhere.report._explain_chart import chart

        return chart(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the explanation to a file.

        Args:
            path: The suffix says what is written: .json, .html, .txt, .svg or .png.

        Raises:
            UsageError: The suffix is none of these, or the file cannot be written.
        """
        from whyhere.picture import save_as
        from whyhere.report._shown import explanation_files

        return save_as(path, explanation_files(self))

    def __repr__(self) -> str:
        """Say the essence in three lines."""
        from whyhere.report._shown import explanation_lines

        return "\n  ".join(line for line in explanation_lines(self) if line)

    def _repr_html_(self) -> str:
        """Show the same and the picture in a notebook."""
        from whyhere.report._shown import explanation_html

        return explanation_html(self)


_OF_HERE = ("concepts", "remainder", "rests_on")


def _answer(answer: Answer) -> dict[str, Any]:
    """Return an answer without its concepts; `here` has those that matter."""
    return {key: value for key, value in answer.to_dict().items() if key not in _OF_HERE}
