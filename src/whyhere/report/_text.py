"""Words and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from whyhere._text import SURROGATE as SURROGATE
from whyhere._text import escaped as escaped
from whyhere._text import printable as printable
from whyhere.geo import PlaceName, great_circle_km
from whyhere.prediction import Answer, Assumptions, ConceptContribution, Prediction

HYPOTHESIS = "Estimates are hypotheses to be checked, not proof of where a photo was taken."
PLACE_NAMES = "Place names: GeoNames (geonames.org), CC BY 4.0."
NO_PLACE = "No place stands out."


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


LIKELY = 0.5
"""Least probability that is called likely."""


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


COUNTRIES = 5
"""Countries named for people; the formats for machines name more."""


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
