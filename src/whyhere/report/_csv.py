"""CSV, one row an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from whyhere._text import csv_rows, guarded
from whyhere.prediction import Prediction
from whyhere.report._rows import answer_fields
from whyhere.report._text import map_link, printable

COLUMNS = (
    "photo",
    "release",
    "abstained",
    "rank",
    "lat",
    "lon",
    "radius_km",
    "probability",
    "area",
    "place",
    "admin1",
    "country",
    "country_code",
    "town_km",
    "score",
    "remainder",
    "concepts_for",
    "concepts_against",
    "concepts_absent",
    "concepts_unconfirmed",
    "concepts_other",
    "rests_on",
    "exif_lat",
    "exif_lon",
    "assuming_region",
    "hint",
    "hint_counted",
    "hint_unknown",
    "countries",
    "map",
)


def stream_csv(predictions: Iterable[Prediction], *, concepts: int) -> Iterator[str]:
    """Yield the header, then the rows of each photo, with so many concepts for and against each answer."""
    yield csv_rows([COLUMNS])
    for prediction in predictions:
        records = (
            {**answer_fields(prediction, answer, concepts), "map": map_link(answer)}
            for answer in prediction.answers
        )
        yield csv_rows([[_cell(record[column]) for column in COLUMNS] for record in records])


def csv_text(text: str) -> str:
    """Return what a cell holds for a text from outside, such as the name of a photo."""
    return str(guarded(printable(text)))


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    return str(value).lower() if isinstance(value, bool) else value
