"""Sentences and short lists that the text and the page of an explanation share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from whyhere.prediction import Answer, ConceptContribution, Contrast, Explanation, Intervention
from whyhere.reasons import REMAINDER, folded
from whyhere.report._reasons import listed_text
from whyhere.report._text import (
    NO_PLACE,
    area_text,
    assumed,
    chance_text,
    coordinates,
    decimals_for,
    kilometres,
    percent,
    printable,
    verdict,
)

MODEL_ONLY = (
    "This shows what carried the score of the model, not what is true of the photo or the place: "
    "a concept speaks for a place or against it and proves nothing."
)
STRENGTH = "strength: what the model sees in the photo; 1 the strongest concept, below 0 less than usual"
CHANGES_LISTED = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sum.

    Attributes:
        name: What is added.
        kind: "group", "concept", or "rest" for several concepts together.
        value: The summand.
        strength: How strongly the photo shows the concept; None where that has no meaning.
        here: Summand at the explained place, in a contrast.
        there: Summand at the other place, in a contrast.
    """

    name: str
    kind: str
    value: float
    strength: float | None = None
    here: float | None = None
    there: float | None = None


def lines_of_place(parts: Answer, limit: int) -> Iterator[Line]:
    """Yield the groups of a score with their `limit` strongest concepts each, less groups of nothing."""
    reasons = parts.reasons
    for group in parts.groups:
        told, hidden = folded(group.concepts, reasons)
        lines = [
            Line(concept.shown_as, "concept", concept.contribution, strength=concept.strength)
            for concept in told
            if concept.contribution
        ]
        rest = [Line(label, "rest", value) for label, value in hidden]
        yield from _listed(Line(group.name, "group", group.contribution), lines, limit, rest)


def lines_of_contrast(contrast: Contrast, limit: int) -> Iterator[Line]:
    """Yield the groups of a difference with their `limit` strongest concepts each."""
    for group in contrast.groups:
        lines = [
            Line(concept.shown_as, "concept", concept.difference, here=concept.here, there=concept.there)
            for concept in group.concepts
            if concept.here or concept.there
        ]
        here, there = sum(line.here or 0.0 for line in lines), sum(line.there or 0.0 for line in lines)
        yield from _listed(
            Line(group.name, "group", group.contribution, here=here, there=there), lines, limit
        )


def _listed(group: Line, lines: Sequence[Line], limit: int, rest: Sequence[Line] = ()) -> Iterator[Line]:
    if not lines and not rest:
        return
    yield group
    by_size = sorted(lines, key=lambda line: -abs(line.value))
    yield from sorted(by_size[:limit], key=lambda line: -line.value)
    if others := by_size[limit:]:
        contrasted = others[0].here is not None
        yield Line(
            "1 other" if len(others) == 1 else f"{len(others)} others",
            "rest",
            sum(line.value for line in others),
            here=sum(line.here or 0.0 for line in others) if contrasted else None,
            there=sum(line.there or 0.0 for line in others) if contrasted else None,
        )
    yield from rest


def silent_groups(groups: int, lines: Iterable[Line]) -> int:
    """Return how many of so many groups `lines` leaves out."""
    return groups - sum(line.kind == "group" for line in lines)


def opening(explanation: Explanation) -> tuple[str, str]:
    """Say in two sentences that can be quoted what is answered and why, with the numbers that are shown.

    >>> opening(explanation)  # doctest: +SKIP
    ('Best guess: the photo was taken around southern Norway, 42 % within 262 km.',
     'For it speaks what the model sees as fjord (mostly Norway) and tundra, against it palm tree; this is a
     hypothesis, not proof.')
    """
    prediction, here = explanation.prediction, explanation.here
    chance = chance_text(here.probability, here.radius_km, prediction.assumptions)
    lead, area = verdict(prediction)
    if here.rank == 1 and area:
        what = f"taken {area}" if area.startswith("around ") else f"from {area}"
        sure = "The photo was likely" if lead == "Likely" else f"{lead}: the photo was"
        first = f"{sure} {what}, {chance}."
    elif here.rank == 1:
        first = f"{NO_PLACE.removesuffix('.')}; the least unlikely is {place_called(here)}, {chance}."
    else:
        first = f"The model gives {place_called(here)} {chance}."
    reasons = here.reasons
    sides = []
    for label, concepts in (
        ("For it speaks", reasons.speaking[:3]),
        ("against it", reasons.against[:2]),
    ):
        if concepts:
            sides.append(f"{label} what the model sees as {listed_text([_quoted(c) for c in concepts])}")
    told = ", ".join(sides) or "No concept that is told here speaks for it or against it"
    told = told.replace(", against it what the model sees as", ", against it")
    thin = "most of the score has no name, so " if REMAINDER in reasons.rests_on else ""
    return first, f"{told[:1].upper()}{told[1:]}; {thin}this is a hypothesis, not proof."


def _quoted(concept: ConceptContribution) -> str:
    name = printable(concept.shown_as)
    meant = concept.meaning.startswith("most")
    return f"{name} ({printable(concept.meaning)})" if meant and concept.strength > 0 else name


def place_called(parts: Answer) -> str:
    """Return what to call a place, safe to show: the area that its radius spans.

    A position or town that was asked for is no estimate and keeps its own name.
    """
    return printable(str(parts.place if parts.how == "nearest" else parts.area))


def rather_text(here: Answer, there: Answer) -> str:
    """Return "Why Hawaii, United States rather than Suva, Central, Fiji?"."""
    return f"Why {place_called(here)} rather than {place_called(there)}?"


def chosen_text(parts: Answer) -> str:
    """Say which point is explained and why this one: "answer 1", "the best-scoring point in Japan"."""
    asked = printable(parts.asked or "")
    rank = f"answer {parts.rank}" if parts.rank else ""
    if parts.how == "nearest" and parts.asked_km is not None:
        text = f"the nearest point that can be answered, {kilometres(parts.asked_km)} from {asked}"
    elif parts.how == "best in":
        text = f"the best-scoring point in {asked}"
    else:
        return rank
    return f"{text} ({rank})" if rank else text


def spot_text(parts: Answer) -> str:
    """Return "lat, lon" of a place."""
    return coordinates(parts.lat, parts.lon)


def explanation_decimals(explanation: Explanation) -> int:
    """Return the decimals that all numbers of an explanation share: here sums are to be checked."""
    places = [explanation.here]
    if explanation.contrast:
        places.append(explanation.contrast.there)
    if explanation.intervention:
        places.append(explanation.intervention.here)
    return min(6, 1 + decimals_for(part.contribution for place in places for part in place.concepts))


def strength_text(value: float, minus: str = "-") -> str:
    """Return a strength with two decimals; what is not 0 never looks like 0.

    Example:
        >>> [strength_text(value) for value in (0.5, 0.001, 0.0, -0.001, -0.5)]
        ['0.50', '<0.01', '0.00', '>-0.01', '-0.50']
    """
    if 0 < abs(value) < 0.005:
        return "<0.01" if value > 0 else f">{minus}0.01"
    return f"{minus if value < 0 else ''}{abs(value):.2f}"


def change_texts(found: Intervention) -> list[str]:
    """Say what was changed, in short lines."""
    texts = []
    if found.only:
        texts.append(f"kept only: {printable(', '.join(found.only))}")
    for change in found.changes[:CHANGES_LISTED]:
        name = printable(change.name)
        before, after = strength_text(change.before), strength_text(change.after)
        texts.append(f"{name}: strength {before} before, {after} after")
    more = len(found.changes) - CHANGES_LISTED
    if more > 0:
        texts.append(f"and {more} other concept{'s' if more > 1 else ''}")
    if found.untouched:
        names = printable(", ".join(found.untouched))
        texts.append(f"already so in this photo, so unchanged: {names}")
    texts.append("unnamed remainder: " + ("taken out" if found.remainder_removed else "kept"))
    return texts


def effect_texts(explanation: Explanation, found: Intervention) -> list[str]:
    """Say what the change does to the answers, in sentences."""
    before, after = explanation.prediction.answers[0], found.after.answers[0]
    first, now = area_text(before), area_text(after)
    if not found.changes and not found.remainder_removed:
        return ["Nothing changes: the answers are the same to the last bit."]
    if found.total_variation == 0:
        return ["No probability moves: the answers keep their places and shares."]
    if found.shift_km < 0.05:
        moved = f"The first answer stays at {first}."
    else:
        moved = f"The first answer moves {kilometres(found.shift_km)}, from {first} to {now}."
    texts = [
        moved,
        f"Within {kilometres(found.radius_km)} of the first answer before: "
        + assumed(
            f"{percent(found.probability_before)} before, {percent(found.probability_after)} after",
            explanation.prediction.assumptions,
        )
        + ".",
        f"{percent(found.total_variation)} of all probability moves elsewhere.",
    ]
    if explanation.prediction.abstained != found.after.abstained:
        texts.append("No place stands out any more." if found.after.abstained else "Now a place stands out.")
    return texts
