"""One answer as flat fields, for the formats that hold one record an answer."""

from __future__ import annotations

import math
from typing import Any

from whyhere.prediction import Answer, Prediction
from whyhere.report._text import (
    NO_PLACE,
    area_text,
    assumption_texts,
    chance_text,
    concepts_text,
    coordinates,
    countries_text,
    least_unlikely_text,
    printable,
    score_decimals,
    signed,
    town_text,
)

COUNTRIES_LISTED = 10
"""How many countries a flat record names, the open sea among them."""


def answer_fields(prediction: Prediction, answer: Answer, concepts: int) -> dict[str, Any]:
    """Return the fields that CSV, GeoJSON and KML share, in the order of the CSV columns.

    Args:
        prediction: What was answered.
        answer: The answer to tell of.
        concepts: How many concepts for, and how many against it are named; the others are summed.
    """
    place, gps = answer.place, prediction.exif_gps
    assumptions, hint = prediction.assumptions, prediction.assumptions.hint
    decimals, reasons = score_decimals(prediction), answer.reasons
    speaking, against = reasons.speaking[:concepts], reasons.against[:concepts]
    absent, unconfirmed = reasons.absent[:concepts], reasons.unconfirmed[:concepts]
    named = {part.id for part in (*speaking, *against, *absent, *unconfirmed)}
    return {
        "photo": printable(prediction.photo),
        "release": printable(prediction.release),
        "abstained": prediction.abstained,
        "rank": answer.rank,
        "lat": answer.lat,
        "lon": answer.lon,
        "radius_km": answer.radius_km,
        "probability": answer.probability,
        "area": area_text(answer),
        "place": printable(place.name),
        "admin1": None if place.admin1 is None else printable(place.admin1),
        "country": None if place.country is None else printable(place.country),
        "country_code": None if place.country_code is None else printable(place.country_code),
        "town_km": place.distance_km,
        "score": answer.score,
        "remainder": answer.remainder,
        "concepts_for": concepts_text(speaking, decimals),
        "concepts_against": concepts_text(against, decimals),
        "concepts_absent": concepts_text(absent, decimals),
        "concepts_unconfirmed": concepts_text(unconfirmed, decimals),
        "concepts_other": math.fsum(part.contribution for part in answer.concepts if part.id not in named),
        "rests_on": "; ".join(reasons.rests_on),
        "exif_lat": None if gps is None else gps.lat,
        "exif_lon": None if gps is None else gps.lon,
        "assuming_region": None if assumptions.region is None else printable(assumptions.region),
        "hint": None if hint is None else printable(hint.text),
        "hint_counted": None if hint is None else printable("; ".join(hint.counted)),
        "hint_unknown": None if hint is None else printable("; ".join(hint.unknown)),
        "countries": "; ".join(
            f"{printable(country.name)} ({country.probability:.3f})"
            for country in prediction.countries[:COUNTRIES_LISTED]
        ),
    }


def answer_lines(prediction: Prediction, answer: Answer, concepts: int) -> list[str]:
    """Return an answer in five lines, for marks on a map; the arguments are those of `answer_fields`."""
    fields, decimals = answer_fields(prediction, answer, concepts), score_decimals(prediction)
    chance = chance_text(answer.probability, answer.radius_km, prediction.assumptions)
    return [
        f"{coordinates(answer.lat, answer.lon)}: {chance}",
        town_text(answer.place),
        f"For: {fields['concepts_for'] or 'no named concept'}",
        f"Against: {fields['concepts_against'] or 'no named concept'}",
        f"Unnamed remainder {signed(answer.remainder, decimals)} of score {answer.score:.{decimals}f}",
    ]


def answer_name(prediction: Prediction, answer: Answer) -> str:
    """Return "1. southern Norway (42 % within 262 km, assuming Finland)", for a mark on a map."""
    chance = chance_text(answer.probability, answer.radius_km, prediction.assumptions)
    return f"{answer.rank}. {area_text(answer)} ({chance})"


def photo_lines(prediction: Prediction) -> list[str]:
    """Say what holds for all answers of a photo: what stands out, what was assumed, which countries."""
    lines = [f"{NO_PLACE} {least_unlikely_text(prediction)}"] if prediction.abstained else []
    lines += assumption_texts(prediction.assumptions)
    return lines + ([f"Countries: {text}."] if (text := countries_text(prediction)) else [])
