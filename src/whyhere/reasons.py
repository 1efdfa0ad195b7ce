"""What to tell people of the concepts in a score, and in which order.

A score has hundreds of summands. People are told first what the photo shows and what of it speaks for the
place, then what speaks against it; what the photo shows *less* of than usual is folded into one line, and so
is what no open map confirms. Every format, page and picture folds by the functions here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

DECIDING_SHARE = 0.25
"""An absence that carries this much of all that pulls the same way is told like what the photo shows."""
MOST = 0.5
"""A score rests on absences, or on the remainder, where they make more than this share of it."""

ABSENCES, REMAINDER = "absences", "remainder"


class Part(Protocol):
    """A concept in a score, or in the difference of two."""

    @property
    def id(self) -> str:
        """Id of the concept in the release."""
        ...

    @property
    def contribution(self) -> float:
        """Signed summand."""
        ...

    @property
    def strength(self) -> float:
        """How much of the concept the photo shows; below 0 less than usual."""
        ...

    @property
    def unconfirmed(self) -> bool:
        """Whether open maps were asked about the concept and did not confirm it, or there is none."""
        ...


AnyPart = TypeVar("AnyPart", bound=Part)


@dataclass(frozen=True, slots=True)
class Reasons(Generic[AnyPart]):
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

    speaking: tuple[AnyPart, ...]
    against: tuple[AnyPart, ...]
    absent: tuple[AnyPart, ...]
    unconfirmed: tuple[AnyPart, ...]
    rests_on: tuple[str, ...]


def reasons_of(parts: Iterable[AnyPart], *, remainder: float) -> Reasons[AnyPart]:
    """Sort the summands of a score for people.

    Args:
        parts: Every concept.
        remainder: What the score holds beyond them.

    >>> reasons_of([], remainder=0.5).rests_on
    ('remainder',)
    """
    active = sorted((part for part in parts if part.contribution), key=lambda part: -abs(part.contribution))
    told: list[AnyPart] = []
    absent: list[AnyPart] = []
    unconfirmed: list[AnyPart] = []
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


def decides(absence: Part, parts: Sequence[Part]) -> bool:
    """Tell whether an absence carries so much of a score that people must be told of it by itself."""
    same_way = (part for part in parts if part.contribution * absence.contribution > 0)
    return abs(absence.contribution) >= DECIDING_SHARE * _total(same_way)


def shared(answers: Sequence[Reasons[AnyPart]], *, limit: int) -> frozenset[str]:
    """Return the ids of concepts that are among the `limit` first to speak for every one of several places.

    They are told once for all places, since they tell none of them apart.
    """
    if len(answers) < 2:
        return frozenset()
    firsts = [frozenset(part.id for part in reasons.speaking[:limit]) for reasons in answers]
    return frozenset.intersection(*firsts)


def folded(
    parts: Iterable[AnyPart], reasons: Reasons[AnyPart]
) -> tuple[list[AnyPart], list[tuple[str, float]]]:
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


def _total(parts: Iterable[Part]) -> float:
    return sum(abs(part.contribution) for part in parts)
