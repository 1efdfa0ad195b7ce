"""The one door to all formats of an explanation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

from whyhere.errors import UsageError
from whyhere.prediction import Explanation, ReleaseCard

EXPLANATION_FORMATS: tuple[str, ...] = ("table", "json", "html")
"""Names that `stream_explanation` knows."""


def stream_explanation(
    explanation: Explanation,
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int = 3,
) -> Iterator[str]:
    """Yield an explanation in one of `EXPLANATION_FORMATS`.

    Args:
        explanation: What to write.
        format: One of `EXPLANATION_FORMATS`.
        card: The release that answered, for the page.
        width: Columns of the table; at least 40 and at most 120 are used.
        color: Colour the table with ANSI escapes.
        ascii_only: Keep the table to ASCII.
        concepts: How many concepts of each group the table shows.

    Raises:
        UsageError: There is no such format.
        ValueError: A number is not finite.
    """
    # Each format is imported when it is asked for: the table needs rich, the page h3 and shapely.

    def table() -> Iterator[str]:
        from whyhere.report._explain_text import stream_text

        return stream_text(explanation, width=width, color=color, ascii_only=ascii_only, concepts=concepts)

    def as_json() -> Iterator[str]:
        from whyhere.report._json import dumps

        yield dumps(explanation.to_dict(), indent=2) + "\n"

    def html() -> Iterator[str]:
        from whyhere.report._explain_html import explanation_page

        yield explanation_page(explanation, card=card)

    writers: dict[str, Callable[[], Iterator[str]]] = {"table": table, "json": as_json, "html": html}
    if format not in writers:
        raise UsageError(
            f"there is no output format {format!r}; choose one of {', '.join(EXPLANATION_FORMATS)}"
        )
    _check(explanation)
    return writers[format]()


def explanation_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `Explanation.to_dict`."""
    text = files("whyhere.report").joinpath("explanation.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _check(explanation: Explanation) -> None:
    """Refuse numbers that are not finite: no format can hold them, and they would hide a fault."""
    places = [explanation.here]
    if explanation.contrast:
        places.append(explanation.contrast.there)
    if explanation.intervention:
        places.append(explanation.intervention.here)
    for place in places:
        for number in (place.score, place.remainder, *(c.contribution for c in place.concepts)):
            if not math.isfinite(number):
                raise ValueError(f"{explanation.prediction.photo!r}, {place.place}: {number} in a score")
