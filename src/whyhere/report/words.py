"""Numbers, names and sentences as people read them, the same in every format.

Whatever comes from outside, names of places and concepts among it, is made printable here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from whyhere._text import printable
from whyhere.geo import PlaceName, great_circle_km
from whyhere.prediction import (
    UNCONFIRMED,
    Answer,
    Assumptions,
    ConceptContribution,
    Contrast,
    Explanation,
    Intervention,
    Prediction,
)
from whyhere.reasons import ABSENCES, REMAINDER, Reasons, folded, shared

HYPOTHESIS = "Estimates are hypotheses to be checked, not proof of where a photo was taken."
PLACE_NAMES = "Place names: GeoNames (geonames.org), CC BY 4.0."
NO_PLACE = "No place stands out."
MODEL_ONLY = (
    "This shows what carried the score of the model, not what is true of the photo or the place: "
    "a concept speaks for a place or against it and proves nothing."
)
STRENGTH = "strength: what the model sees in the photo; 1 the strongest concept, below 0 less than usual"
RESPONSIBLE = (
    "Check every place against independent evidence before you act on it or publish it, and do not use this "
    "to find, follow or expose people who have not agreed to be found."
)
STAR = ("A star *", UNCONFIRMED.removeprefix("* ").capitalize())
"""What pages say of the mark of concepts that no open map confirms."""
LIKELY = 0.5
"""Least probability that is called likely."""
COUNTRIES = 5
"""Countries named for people; the formats for machines name more."""

_NAMED = 3  # concepts that a folded line names; the others are counted
_CHANGES_LISTED = 6
_CAUTIONS = {
    ABSENCES: "Caution: most of what speaks for it is what the photo shows less of than usual.",
    REMAINDER: "Caution: the unnamed remainder is more than half of this score.",
}


def percent(probability: float) -> str:
    """Return a probability for people: "21 %", "3.4 %", "< 0.1 %".

    Example:
        >>> [percent(p) for p in (0.214, 0.034, 0.0002, 0.9999)]
        ['21 %', '3.4 %', '< 0.1 %', '> 99 %']
    """
    if probability <= 0:
        return "0 %"
    if probability < 0.001:
        return "< 0.1 %"
    if 0.99 < probability < 1:
        return "> 99 %"
    points = 100 * probability
    return f"{points:.1f} %" if points < 9.95 else f"{points:.0f} %"


def kilometres(km: float) -> str:
    """Return a distance for people: "0.4 km", "50 km", "4,210 km"."""
    return f"{km:.1f} km" if km < 9.95 else f"{km:,.0f} km"


def coordinates(lat: float, lon: float) -> str:
    """Return "lat, lon" in degrees with three decimals (about 100 m), ready to paste into any map."""
    # Adding 0.0 after rounding turns -0.0 into 0.0.
    return f"{round(lat, 3) + 0.0:.3f}, {round(lon, 3) + 0.0:.3f}"


def map_link(answer: Answer) -> str:
    """Return the address of an answer on OpenStreetMap, zoomed to its radius; nothing ever fetches it.

    Whoever opens it tells OpenStreetMap the position, and nothing about the photo.
    """
    around = 40_000 / (4 * max(answer.radius_km, 0.1))  # a map of four radii; zoom 0 is the whole Earth
    zoom = min(max(round(math.log2(around)), 2), 16)
    lat, lon = round(answer.lat, 4) + 0.0, round(answer.lon, 4) + 0.0
    return f"https://osm.org/?mlat={lat:g}&mlon={lon:g}&zoom={zoom}"


def decimals_for(values: Iterable[float]) -> int:
    """Return how many decimals show the largest magnitude in `values` with two digits, 1 to 6."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest == 0.0:
        return 2
    return min(6, max(1, 1 - math.floor(math.log10(largest))))


def signed(value: float, decimals: int, *, minus: str = "-") -> str:
    """Return `value` with its sign: "+0.082", "-0.014", "0.000"."""
    rounded = round(value, decimals)
    if rounded == 0:
        return f"{0:.{decimals}f}"
    return f"{'+' if rounded > 0 else minus}{abs(rounded):.{decimals}f}"


def area_text(answer: Answer) -> str:
    """Return the name of an answer that fits its radius, safe to show."""
    return printable(str(answer.area))


def chance_text(probability: float, radius_km: float, assumptions: Assumptions) -> str:
    """Return "42 % within 262 km, assuming Finland": probability, radius and what they assume."""
    return assumed(f"{percent(probability)} within {kilometres(radius_km)}", assumptions)


def assumed(text: str, assumptions: Assumptions) -> str:
    """Return a probability in words with what it assumes: "42 %, assuming Finland"."""
    return f"{text}, {printable(str(assumptions))}" if assumptions else text


def assumption_texts(assumptions: Assumptions) -> list[str]:
    """Say in sentences what was assumed, and which words of a hint counted."""
    texts = []
    if assumptions.region is not None:
        inside = printable(assumptions.region)
        texts.append(f"Only inside: {inside}. Probabilities assume that the photo was taken there.")
    if (hint := assumptions.hint) is not None:
        counted = printable(", ".join(hint.counted))
        unknown = f"; unknown: {printable(', '.join(hint.unknown))}" if hint.unknown else ""
        texts.append(f"Hint: {printable(hint.text)} (yours, not the photo's). Counted: {counted}{unknown}.")
    return texts


def verdict(prediction: Prediction) -> tuple[str, str]:
    """Say what the evidence allows: how firmly, and where; never bolder than the probability.

    Returns:
        "Likely", "Best guess" with an area, or "No place stands out" and "No answer" with nothing.
    """
    if not prediction.answers:
        return "No answer", ""
    if prediction.abstained:
        return NO_PLACE.removesuffix("."), ""
    best = prediction.answers[0]
    area = area_text(best) if best.area.kind in ("around", "sea", "earth") else f"around {area_text(best)}"
    return ("Likely" if best.probability >= LIKELY else "Best guess"), area


def headline(prediction: Prediction) -> str:
    """Return the verdict on a line: "Best guess: around southern Norway, 14 % within 262 km"."""
    lead, area = verdict(prediction)
    if not area:
        return f"{lead}."
    best = prediction.answers[0]
    joined = f"{lead} {area}" if lead == "Likely" else f"{lead}: {area}"
    return f"{joined}, {chance_text(best.probability, best.radius_km, prediction.assumptions)}"


def least_unlikely_text(prediction: Prediction) -> str:
    """Say what answers are worth of which none stands out, also where one of them has a high probability."""
    assumptions = prediction.assumptions
    if not assumptions or not prediction.answers or assumptions.unaided_probability is None:
        return "These are only the least unlikely places."
    best = percent(prediction.answers[0].probability)
    return (
        f"The photo alone gives the first place {percent(assumptions.unaided_probability)}; "
        f"its {best} holds only {printable(str(assumptions))}."
    )


def countries_text(prediction: Prediction) -> str:
    """Return "Norway 31 %, Sweden 18 %, elsewhere 51 %"; empty where nothing is known of countries."""
    listed = prediction.countries[:COUNTRIES]
    if not listed:
        return ""
    rest = 1.0 - sum(country.probability for country in listed)
    parts = [f"{printable(country.name)} {percent(country.probability)}" for country in listed]
    return ", ".join([*parts, *([f"elsewhere {percent(rest)}"] if rest >= 0.0005 else [])])


def town_text(place: PlaceName) -> str:
    """Return "nearest town: Stavanger, 12 km", or what else the point itself is called."""
    if place.distance_km is None:
        return printable(place.name)
    return f"nearest town: {printable(place.name)}, {kilometres(place.distance_km)}"


def concepts_text(concepts: Iterable[ConceptContribution], decimals: int) -> str:
    """Return "palm tree (+0.082); coast (+0.061)" for one cell of a spreadsheet or a label on a map."""
    return "; ".join(f"{printable(c.shown_as)} ({signed(c.contribution, decimals)})" for c in concepts)


def score_decimals(prediction: Prediction) -> int:
    """Return the decimals that scores and contributions of one photo share."""
    return decimals_for(c.contribution for answer in prediction.answers for c in answer.concepts)


def elsewhere(prediction: Prediction) -> float:
    """Return how much probability lies outside all answers."""
    return max(0.0, 1.0 - sum(answer.probability for answer in prediction.answers))


def for_and_against(concepts: Iterable[ConceptContribution]) -> tuple[float, float]:
    """Return what speaks for a place and, without its sign, what speaks against it."""
    values = [concept.contribution for concept in concepts]
    return sum(v for v in values if v > 0), abs(sum(v for v in values if v < 0))


def exif_distance_km(prediction: Prediction) -> float | None:
    """Return the distance from the EXIF position to answer 1, or None where there is no such pair."""
    if prediction.exif_gps is None or not prediction.answers:
        return None
    first = prediction.answers[0]
    gps = prediction.exif_gps
    return float(great_circle_km(gps.lat, gps.lon, first.lat, first.lon))


def exif_text(prediction: Prediction) -> str | None:
    """Return "22.060, -159.500, 18 km from answer 1", or None for a photo without an EXIF position.

    Where the position lies within the radius of an answer other than the first, that is said too.
    """
    if prediction.exif_gps is None:
        return None
    position = coordinates(prediction.exif_gps.lat, prediction.exif_gps.lon)
    km = exif_distance_km(prediction)
    if km is None:
        return position
    text = f"{position}, {kilometres(km)} from answer 1"
    for answer in prediction.answers:
        gps = prediction.exif_gps
        if great_circle_km(gps.lat, gps.lon, answer.lat, answer.lon) <= answer.radius_km:
            return text if answer.rank == 1 else f"{text}, within the radius of answer {answer.rank}"
    return text


def folded_lines(
    reasons: Reasons[ConceptContribution], decimals: int, *, minus: str = "-"
) -> list[tuple[str, str]]:
    """Return what is told of several concepts together: ("Less than usual: snow and fjord", "+0.031")."""
    lines = []
    for label, parts, names in (
        ("Less than usual", reasons.absent, [part.name for part in reasons.absent]),
        ("Not confirmed by open maps", reasons.unconfirmed, [part.shown_as for part in reasons.unconfirmed]),
    ):
        if parts:
            shown = [printable(name) for name in names[:_NAMED]]
            if others := len(names) - len(shown):
                shown.append("1 other" if others == 1 else f"{others} others")
            total = sum(part.contribution for part in parts)
            lines.append((f"{label}: {listed_text(shown)}", signed(total, decimals, minus=minus)))
    return lines


def cautions(reasons: Reasons[ConceptContribution]) -> list[str]:
    """Return sentences of warning about what a score rests on."""
    return [_CAUTIONS[what] for what in reasons.rests_on]


def shared_concepts(prediction: Prediction, limit: int) -> list[tuple[ConceptContribution, ...]]:
    """Return the concepts that are among the first to speak for every answer, each at every answer.

    The one that speaks most for the first answer comes first.
    """
    reasons = [answer.reasons for answer in prediction.answers]
    common = shared(reasons, limit=limit)
    rows = [{part.id: part for part in one.speaking if part.id in common} for one in reasons]
    return [tuple(row[id] for row in rows) for id in (rows[0] if rows else ())]


def listed_text(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


class Line(NamedTuple):
    """One line of a sum.

    Attributes:
        name: What is added.
        kind: "group", "concept", or "rest" for several concepts together.
        value: The summand.
        numbers: What stands beside it, as the heads of the sum say; None where that has no meaning.
    """

    name: str
    kind: str
    value: float
    numbers: tuple[float | None, ...]


class Sum(NamedTuple):
    """A score, or the difference of two, line by line.

    Attributes:
        heads: What the numbers of a line are, its value last.
        lines: Groups with their strongest concepts, less groups of nothing.
        silent: What is said of those groups; empty for none.
        remainder: The unnamed remainder.
        score: What all adds up to.
    """

    heads: tuple[str, ...]
    lines: list[Line]
    silent: str
    remainder: Line
    score: Line


def sum_of(place: Answer, limit: int) -> Sum:
    """Return the score of a place, with the `limit` strongest concepts of each group."""
    lines: list[Line] = []
    reasons = place.reasons
    for group in place.groups:
        told, hidden = folded(group.concepts, reasons)
        concepts = [
            Line(c.shown_as, "concept", c.contribution, (c.strength,)) for c in told if c.contribution
        ]
        rest = [Line(label, "rest", value, (None,)) for label, value in hidden]
        lines += _listed(Line(group.name, "group", group.contribution, (None,)), concepts, limit, rest)
    return Sum(
        ("strength", "score"),
        lines,
        _silent(len(place.groups), lines),
        Line("unnamed remainder", "rest", place.remainder, (None,)),
        Line("score", "group", place.score, (None,)),
    )


def difference_of(here: Answer, contrast: Contrast, limit: int, *, equal: bool = True) -> Sum:
    """Return a difference of scores; `equal` counts concepts that are the same at both places too."""
    lines: list[Line] = []
    for group in contrast.groups:
        concepts = [
            Line(c.shown_as, "concept", c.difference, (c.here, c.there))
            for c in group.concepts
            if c.difference or (equal and c.here)
        ]
        lines += _listed(Line(group.name, "group", group.contribution, _added(concepts)), concepts, limit)
    there = contrast.there
    return Sum(
        ("here", "there", "difference"),
        lines,
        _silent(len(contrast.groups), lines),
        Line("unnamed remainder", "rest", contrast.remainder, (here.remainder, there.remainder)),
        Line("score", "group", contrast.score, (here.score, there.score)),
    )


def _listed(group: Line, concepts: Sequence[Line], limit: int, rest: Sequence[Line] = ()) -> Iterator[Line]:
    if not concepts and not rest:
        return
    yield group
    by_size = sorted(concepts, key=lambda line: -abs(line.value))
    yield from sorted(by_size[:limit], key=lambda line: -line.value)
    if others := by_size[limit:]:
        name = "1 other" if len(others) == 1 else f"{len(others)} others"
        numbers = (None,) if group.numbers == (None,) else _added(others)
        yield Line(name, "rest", sum(line.value for line in others), numbers)
    yield from rest


def _added(lines: Iterable[Line]) -> tuple[float, ...]:
    here, there = 0.0, 0.0
    for line in lines:
        here, there = here + (line.numbers[0] or 0.0), there + (line.numbers[1] or 0.0)
    return here, there


def _silent(groups: int, lines: Iterable[Line]) -> str:
    count = groups - sum(line.kind == "group" for line in lines)
    return f"{count} other group{'s' if count > 1 else ''}: nothing for or against" if count else ""


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


def explanation_decimals(explanation: Explanation) -> int:
    """Return the decimals that all numbers of an explanation share: here sums are to be checked."""
    parts = (part for place in explained_places(explanation) for part in place.concepts)
    return min(6, 1 + decimals_for(part.contribution for part in parts))


def explained_places(explanation: Explanation) -> list[Answer]:
    """Return the places whose scores an explanation takes apart."""
    places = [explanation.here]
    if explanation.contrast:
        places.append(explanation.contrast.there)
    if explanation.intervention:
        places.append(explanation.intervention.here)
    return places


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
    for change in found.changes[:_CHANGES_LISTED]:
        name = printable(change.name)
        before, after = strength_text(change.before), strength_text(change.after)
        texts.append(f"{name}: strength {before} before, {after} after")
    more = len(found.changes) - _CHANGES_LISTED
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


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table; cells with text from outside must be made safe first (`markdown_cell`).

    Example:
        >>> print(markdown_table(["kind", "photos"], [["street", "12"]]), end="")
        | kind | photos |
        |---|---|
        | street | 12 |
    """
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return f"{lines[0]}|{'---|' * len(head)}\n{''.join(lines[1:])}"


def interval_text(one: tuple[float, float, float], write: Callable[[float], str]) -> str:
    """Return "value (low to high)", the value alone where it has no finite interval.

    Args:
        one: The value and the two ends of its interval.
        write: Writes a number.
    """
    value, low, high = one
    if not (math.isfinite(low) and math.isfinite(high)):
        return write(value)
    return f"{write(value)} ({write(low)} to {write(high)})"
