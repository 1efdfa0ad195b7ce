"""One answer as flat fields, for the formats that hold one record an answer."""

from __future__ import annotations

from typing import Any

from whyhere.prediction import Answer, Prediction
from whyhere.report._text import concepts_text, printable, score_decimals

CONCEPTS_LISTED = 5
"""How many concepts for and against a flat record names; JSON holds all."""


def answer_fields(prediction: Prediction, answer: Answer) -> dict[str, Any]:
    """Return the fields that CSV, GeoJSON and KML share, in the order of the CSV columns."""
    place, gps = answer.place, prediction.exif_gps
    decimals, reasons = score_decimals(prediction), answer.reasons
    return {
        "photo": printable(prediction.photo),
        "release": printable(prediction.release),
        "abstained": prediction.abstained,
        "rank": answer.rank,
        "lat": answer.lat,
        "lon": answer.lon,
        "radius_km": answer.radius_km,
        "probability": answer.probability,
        "place": printable(place.name),
        "admin1": None if place.admin1 is None else printable(place.admin1),
        "country": None if place.country is None else printable(place.country),
        "country_code": None if place.country_code is None else printable(place.country_code),
        "score": answer.score,
        "remainder": answer.remainder,
        "concepts_for": concepts_text(reasons.speaking[:CONCEPTS_LISTED], decimals),
        "concepts_against": concepts_text(reasons.against[:CONCEPTS_LISTED], decimals),
        "concepts_absent": concepts_text(reasons.absent[:CONCEPTS_LISTED], decimals),
        "concepts_unconfirmed": concepts_text(reasons.unconfirmed[:CONCEPTS_LISTED], decimals),
        "rests_on": "; ".join(reasons.rests_on),
        "exif_lat": None if gps is None else gps.lat,
        "exif_lon": None if gps is None else gps.lon,
    }
