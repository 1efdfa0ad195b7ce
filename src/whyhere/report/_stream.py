"""The one door to all formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from whyhere.errors import UsageError
from whyhere.prediction import Prediction, ReleaseCard

FORMATS: tuple[str, ...] = ("table", "json", "jsonl", "csv", "geojson", "kml", "gpx", "html")
"""Names that `render` and `stream` know."""

LISTED = {"table": 3, "jsonl": 5, "csv": 5, "geojson": 5, "kml": 5, "gpx": 3}
"""How many concepts for, and how many against each answer a format lists by default; others list all."""

TAILS = {
    "table": "",
    "jsonl": "",
    "csv": "",
    "json": "\n]\n",
    "geojson": "\n]}\n",
    "kml": "</Document>\n</kml>\n",
    "gpx": "</gpx>\n",
}
"""What makes the pieces yielded so far a whole document, where a format is written photo by photo."""


def render(
    predictions: Sequence[Prediction],
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int | None = None,
    circles: bool = False,
    surface: bool = False,
) -> str:
    """Return predictions in one of `FORMATS`.

    Args:
        predictions: What to write, in the order to write it.
        format: One of `FORMATS`.
        card: The release that answered, for attribution and for the report's page on its limits.
        width: Columns of the table; at least 40 and at most 120 are used.
        color: Colour the table with ANSI escapes.
        ascii_only: Keep the table to ASCII, for terminals and pipes that cannot show more.
        concepts: How many concepts are listed for, and how many against each answer; the others are one sum.
            By default `LISTED` of the format: all in JSON. The report in HTML always has all.
        circles: Add the disc that each radius spans to GeoJSON and KML.
        surface: Add the cells of the probability surface to GeoJSON and KML.

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
        surface=surface,
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
    concepts: int | None = None,
    circles: bool = False,
    surface: bool = False,
) -> Iterator[str]:
    """Yield the pieces of what `render` returns, as soon as the format allows.

    Table, JSON lines, CSV, GeoJSON, KML and GPX yield after each photo; JSON lags one photo behind, because
    one photo is an object and several are an array; HTML reads all predictions before its first piece,
    because the page begins with an overview. With `TAILS` of the format behind it, what was yielded after a
    photo is a whole document.

    The arguments and errors are those of `render`; an unknown format is refused at once.
    """
    checked = map(_checked, predictions)
    listed = LISTED.get(format) if concepts is None else concepts
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "table": lambda: _table(checked, width, color, ascii_only, listed or 0),
        "json": lambda: _json(checked, listed),
        "jsonl": lambda: _jsonl(checked, listed),
        "csv": lambda: _csv(checked, listed or 0),
        "geojson": lambda: _geojson(checked, card, listed or 0, circles, surface),
        "kml": lambda: _kml(checked, card, listed or 0, circles, surface),
        "gpx": lambda: _gpx(checked, card, listed or 0),
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


def _json(predictions: Iterable[Prediction], concepts: int | None) -> Iterator[str]:
    from whyhere.report._json import stream_json

    return stream_json(predictions, concepts=concepts)


def _jsonl(predictions: Iterable[Prediction], concepts: int | None) -> Iterator[str]:
    from whyhere.report._json import stream_jsonl

    return stream_jsonl(predictions, concepts=concepts)


def _csv(predictions: Iterable[Prediction], concepts: int) -> Iterator[str]:
    from whyhere.report._csv import stream_csv

    return stream_csv(predictions, concepts=concepts)


def _geojson(
    predictions: Iterable[Prediction], card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    from whyhere.report._geojson import stream_geojson

    return stream_geojson(predictions, card=card, concepts=concepts, circles=circles, surface=surface)


def _kml(
    predictions: Iterable[Prediction], card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    from whyhere.report._kml import stream_kml

    return stream_kml(predictions, card=card, concepts=concepts, circles=circles, surface=surface)


def _gpx(predictions: Iterable[Prediction], card: ReleaseCard, concepts: int) -> Iterator[str]:
    from whyhere.report._gpx import stream_gpx

    return stream_gpx(predictions, card=card, concepts=concepts)


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
