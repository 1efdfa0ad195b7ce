"""The concepts of a score, and what to tell people of them, in which order.

A score has hundreds of summands. People are told first what the photo shows and what of it speaks for the
place, then what speaks against it; what the photo shows *less* of than usual is folded into one line, and so
is what no open map confirms. Every format, page and picture folds by the functions here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from whyhere._record import Record

DECIDING_SHARE = 0.25
"""An absence that carries this much of all that pulls the same way is told like what the photo shows."""
MOST = 0.5
"""A score rests on absences, or on the remainder, where they make more than this share of it."""

ABSENCES, REMAINDER = "absences", "remainder"
UNCONFIRMED = "* no open map confirms what this concept does in the model; see the model card."
"""What is said wherever a concept has a star; see `shown_as`."""


def shown_as(name: str, strength: float, evidence: str = "") -> str:
    """Return "palm tree", or "less palm tree" where a photo shows less of it than usual.

    A star marks a concept that was put to the test and not confirmed, or could not be tested.
    """
    star = "*" if unconfirmed(evidence) else ""
    return f"less {name}{star}" if strength < 0 else f"{name}{star}"


def unconfirmed(evidence: str) -> bool:
    """Tell whether open maps were asked about a concept and did not confirm it, or there is none."""
    return evidence not in ("", "confirmed")


class ConceptContribution(Record, frozen=True):
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

    json_fields: ClassVar[tuple[str, ...]] = ("id", "name", "group", "contribution", "strength", "evidence")

    id: str
    name: str
    group: str
    contribution: float
    strength: float = 1.0
    evidence: str = ""
    meaning: str = ""

    @property
    def shown_as(self) -> str:
        """What to call its part: less of something that is rare in a place speaks for the place too."""
        return shown_as(self.name, self.strength, self.evidence)

    @property
    def unconfirmed(self) -> bool:
        """Whether open maps were asked about the concept and did not confirm it, or there is none."""
        return unconfirmed(self.evidence)


class ConceptContrast(ConceptContribution, frozen=True):
    """One concept in the difference of two scores; its contribution is that to the difference.

    Attributes:
        here: Contribution to the score of the place that is explained.
        there: Contribution to the score of the other place.
    """

    json_fields: ClassVar[tuple[str, ...]] = (
        "id",
        "name",
        "group",
        "strength",
        "here",
        "there",
        "difference",
        "evidence",
    )

    here: float = 0.0
    there: float = 0.0

    @property
    def difference(self) -> float:
        """`here` less `there`."""
        return self.contribution


Part = TypeVar("Part", bound=ConceptContribution)


class Group(Record, Generic[Part], frozen=True):
    """The concepts of one group in a score, or in the difference of two.

    Attributes:
        name: Name of the group.
        contribution: Sum over its concepts.
        concepts: Its concepts, the largest contribution first.
    """

    name: str
    contribution: float
    concepts: tuple[Part, ...]

    @property
    def difference(self) -> float:
        """`contribution`, where it is one to the difference of two scores."""
        return self.contribution


def grouped(parts: Iterable[Part]) -> tuple[Group[Part], ...]:
    """Sort summands by group, the largest first at both levels."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    # fsum does not depend on the order, so that swapping two places only changes signs.
    found = (
        Group(
            name,
            math.fsum(part.contribution for part in members),
            tuple(sorted(members, key=lambda part: (-part.contribution, part.id))),
        )
        for name, members in groups.items()
    )
    return tuple(sorted(found, key=lambda group: (-group.contribution, group.name)))


class Reasons(Record, Generic[Part], frozen=True):
    """The concepts of one score, sorted for people; none is in two lists, and silent ones are in none.

    Attributes:
        speaking: What the photo shows and what speaks for the place, the strongest first; an absence only
            where it decides.
        against: What speaks against it, sorted alike.
        absent: What the photo shows less of than usual, for or against the place, the largest share first.
        unconfirmed: What no open map confirms, for or against the place, the largest share first.
        rests_on: `ABSENCES` where more than half of what speaks for the place is what the photo shows less
            of than usual, `REMAINDER` where more than half of the score is the unnamed remainder.
    """

    speaking: tuple[Part, ...]
    against: tuple[Part, ...]
    absent: tuple[Part, ...]
    unconfirmed: tuple[Part, ...]
    rests_on: tuple[str, ...]


def reasons_of(parts: Iterable[Part], *, remainder: float) -> Reasons[Part]:
    """Sort the summands of a score for people.

    Args:
        parts: Every concept.
        remainder: What the score holds beyond them.

    >>> reasons_of([], remainder=0.5).rests_on
    ('remainder',)
    """
    active = sorted((part for part in parts if part.contribution), key=lambda part: -abs(part.contribution))
    told: list[Part] = []
    absent: list[Part] = []
    unconfirmed: list[Part] = []
    for part in active:
        if part.unconfirmed:
            unconfirmed.append(part)
        elif part.strength < 0 and not decides(part, active):
            absent.append(part)
        else:
            told.append(part)
    lacking = _total(part for part in active if part.contribution > 0 and part.strength < 0)
    score = sum(part.contribution for part in active) + remainder
    rests_on = []
    if lacking > MOST * _total(part for part in active if part.contribution > 0):
        rests_on.append(ABSENCES)
    if remainder > 0 and remainder > MOST * score:
        rests_on.append(REMAINDER)
    return Reasons(
        speaking=tuple(part for part in told if part.contribution > 0),
        against=tuple(part for part in told if part.contribution < 0),
        absent=tuple(absent),
        unconfirmed=tuple(unconfirmed),
        rests_on=tuple(rests_on),
    )


def decides(absence: ConceptContribution, parts: Sequence[ConceptContribution]) -> bool:
    """Tell whether an absence carries so much of a score that people must be told of it by itself."""
    same_way = (part for part in parts if part.contribution * absence.contribution > 0)
    return abs(absence.contribution) >= DECIDING_SHARE * _total(same_way)


def shared(answers: Sequence[Reasons[Part]], *, limit: int) -> frozenset[str]:
    """Return the ids of concepts that are among the `limit` first to speak for every one of several places.

    They are told once for all places, since they tell none of them apart.
    """
    if len(answers) < 2:
        return frozenset()
    firsts = [frozenset(part.id for part in reasons.speaking[:limit]) for reasons in answers]
    return frozenset.intersection(*firsts)


def folded(parts: Iterable[Part], reasons: Reasons[Part]) -> tuple[list[Part], list[tuple[str, float]]]:
    """Split some of the concepts of a score, those of a group say, into what is told and what is folded.

    Returns:
        Those that are told one by one, and the others as "2 less than usual" and "3 not confirmed *" with
        what they add up to.
    """
    members = list(parts)
    lines = []
    for label, hidden in (("less than usual", reasons.absent), ("not confirmed *", reasons.unconfirmed)):
        ids = {part.id for part in hidden}
        mine = [part for part in members if part.id in ids]
        if mine:
            lines.append((f"{len(mine)} {label}", sum(part.contribution for part in mine)))
        members = [part for part in members if part.id not in ids]
    return members, lines


def _total(parts: Iterable[ConceptContribution]) -> float:
    return sum(abs(part.contribution) for part in parts)
