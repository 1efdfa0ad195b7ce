"""The one door to all formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from whyhere.errors import UsageError
from whyhere.prediction import Prediction, ReleaseCard

FORMATS: tuple[str, ...] = ("table", "json", "jsonl", "csv", "geojson", "kml", "html")
"""Names that `render` and `stream` know."""


def render(
    predictions: Sequence[Prediction],
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int = 3,
    circles: bool = False,
) -> str:
    """Return predictions in one of `FORMATS`.

    Args:
        predictions: What to write, in the order to write it.
        format: One of `FORMATS`.
        card: The release that answered, for attribution and for the report's page on its limits.
        width: Columns of the table; at least 40 and at most 120 are used.
        color: Colour the table with ANSI escapes.
        ascii_only: Keep the table to ASCII, for terminals and pipes that cannot show more.
        concepts: How many concepts the table lists for, and how many against each answer.
        circles: Add the disc that each radius spans to GeoJSON and KML.

    Returns:
        Text that ends with a newline and is valid UTF-8.

    Raises:
        UsageError: There is no such format.
        ValueError: A number in a prediction is not finite.
    """
    pieces = stream(
        predictions,
        format,
        card=card,
        width=width,
        color=color,
        ascii_only=ascii_only,
        concepts=concepts,
        circles=circles,
    )
    return "".join(pieces)


def stream(
    predictions: Iterable[Prediction],
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int = 3,
    circles: bool = False,
) -> Iterator[str]:
    """Yield the pieces of what `render` returns, as soon as the format allows.

    Table, JSON lines, CSV, GeoJSON and KML yield after each photo; JSON lags one photo behind, because one
    photo is an object and several are an array; HTML reads all predictions before its first piece, because
    the page begins with an overview.

    The arguments and errors are those of `render`; an unknown format is refused at once.
    """
    checked = map(_checked, predictions)
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "table": lambda: _table(checked, width, color, ascii_only, concepts),
        "json": lambda: _json(checked),
        "jsonl": lambda: _jsonl(checked),
        "csv": lambda: _csv(checked),
        "geojson": lambda: _geojson(checked, card, circles),
        "kml": lambda: _kml(checked, card, circles),
        "html": lambda: _html(checked, card),
    }
    if format not in writers:
        raise UsageError(f"there is no output format {format!r}; choose one of {', '.join(FORMATS)}")
    return writers[format]()


# Each format is imported when it is asked for: the table needs rich, the report h3 and shapely.


def _table(
    predictions: Iterable[Prediction], width: int, color: bool, ascii_only: bool, concepts: int
) -> Iterator[str]:
    from whyhere.report._table import stream_table

    return stream_table(predictions, width=width, color=color, ascii_only=ascii_only, concepts=concepts)


def _json(predictions: Iterable[Prediction]) -> Iterator[str]:
    from whyhere.report._json import stream_json

    return stream_json(predictions)


def _jsonl(predictions: Iterable[Prediction]) -> Iterator[str]:
    from whyhere.report._json import stream_jsonl

    return stream_jsonl(predictions)


def _csv(predictions: Iterable[Prediction]) -> Iterator[str]:
    from whyhere.report._csv import stream_csv

    return stream_csv(predictions)


def _geojson(predictions: Iterable[Prediction], card: ReleaseCard, circles: bool) -> Iterator[str]:
    from whyhere.report._geojson import stream_geojson

    return stream_geojson(predictions, card=card, circles=circles)


def _kml(predictions: Iterable[Prediction], card: ReleaseCard, circles: bool) -> Iterator[str]:
    from whyhere.report._kml import stream_kml

    return stream_kml(predictions, card=card, circles=circles)


def _html(predictions: Iterable[Prediction], card: ReleaseCard) -> Iterator[str]:
    from whyhere.report._html import stream_html

    return stream_html(list(predictions), card=card)


def _checked(prediction: Prediction) -> Prediction:
    """Refuse numbers that are not finite: no format can hold them, and they would hide a fault."""
    for answer in prediction.answers:
        numbers = {
            "lat": answer.lat,
            "lon": answer.lon,
            "radius_km": answer.radius_km,
            "probability": answer.probability,
            "score": answer.score,
            "remainder": answer.remainder,
        } | {f"contribution of {concept.id}": concept.contribution for concept in answer.concepts}
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise ValueError(f"{prediction.photo!r}, answer {answer.rank}: {name} is {value}")
    return prediction
