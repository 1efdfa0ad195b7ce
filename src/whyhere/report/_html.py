"""One self-contained page for one photo or many: no script, no font, no request.

The content security policy allows the images in the page and its one style sheet (by hash) and nothing
else, so that a hostile file name could do nothing even if it slipped through the escaping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

from whyhere.prediction import Prediction, ReleaseCard
from whyhere.report._html_photo import photo_section
from whyhere.report._map_svg import Pin, shared_definitions, world_map
from whyhere.report._page import about, policy
from whyhere.report._text import (
    HYPOTHESIS,
    NO_PLACE,
    area_text,
    assumed,
    exif_distance_km,
    kilometres,
    least_unlikely_text,
    percent,
    printable,
    verdict,
)

RESPONSIBLE = (
    "Check every place against independent evidence before you act on it or publish it, and do not use this "
    "to find, follow or expose people who have not agreed to be found."
)

_BADGES = 30


def stream_html(predictions: Sequence[Prediction], *, card: ReleaseCard) -> Iterator[str]:
    """Yield a page: an overview where there are several photos, a section each, and notes for the reader."""
    head, tail = _template().substitute(_fields(predictions, card)).split("\f")
    yield head
    if len(predictions) != 1:
        yield _overview(predictions)
    for index, prediction in enumerate(predictions, start=1):
        yield photo_section(prediction, index=index, total=len(predictions))
    yield tail


def _template() -> Template:
    return Template(_resource("report.html"))


def _fields(predictions: Sequence[Prediction], card: ReleaseCard) -> dict[str, str]:
    style = _resource("report.css")
    if len(predictions) == 1:
        title = f"whyhere: {printable(predictions[0].photo)}"
        heading = "Where was this photo taken, and why here?"
    else:
        title = f"whyhere: {len(predictions)} photos"
        heading = "Where were these photos taken, and why there?"
    return {
        "policy": policy(style),
        "title": escape(title),
        "style": style,
        "definitions": shared_definitions(),
        "release": escape(printable(f"Release {card.name} {card.version}")),
        "heading": heading,
        "hypothesis": escape(HYPOTHESIS),
        # The page is cut here; a form feed cannot come from `printable` text.
        "body": "\f",
        "release_card": about(card),
        "responsible": escape(RESPONSIBLE),
        "attribution": escape(" ".join(printable(sentence) for sentence in card.attribution)),
    }


def _overview(predictions: Sequence[Prediction]) -> str:
    best = [
        (index, prediction.answers[0])
        for index, prediction in enumerate(predictions, start=1)
        if prediction.answers and not prediction.abstained
    ]
    # A badge each for more photos would hide the map.
    numbered = len(best) <= _BADGES
    pins = [Pin(str(index) if numbered else "", answer.lat, answer.lon, None) for index, answer in best]
    chart = world_map(
        pins,
        surface=None,
        exif=None,
        id="overview-map",
        title="Best answers of all photos",
        description=f"World map with the best answer of {len(pins)} photos; the list below names them.",
        emphasise=False,
    )
    rows = "".join(_overview_row(index, prediction) for index, prediction in enumerate(predictions, start=1))
    return (
        '<section class="sheet" aria-labelledby="overview"><h2 id="overview">Overview</h2>'
        f'<figure class="world">{chart}</figure><ol class="overview">{rows}</ol></section>'
    )


def _overview_row(index: int, prediction: Prediction) -> str:
    place, share = "No answer", ""
    small: list[str] = []
    if prediction.answers:
        best = prediction.answers[0]
        place = escape(area_text(best))
        share = escape(percent(best.probability))
        small.append(escape(assumed(f"within {kilometres(best.radius_km)}", prediction.assumptions)))
    if prediction.abstained:
        small.append(escape(f"{NO_PLACE} {least_unlikely_text(prediction)}"))
    elif prediction.answers:
        small.append(escape(verdict(prediction)[0]))
    if (km := exif_distance_km(prediction)) is not None:
        small.append(f"EXIF GPS is {kilometres(km)} away.")
    return (
        f'<li><span>{index}</span><a href="#p{index}">{escape(printable(prediction.photo))}</a>'
        f'<span class="where">{place}{"".join(f"<small>{text}</small>" for text in small)}</span>'
        f'<span class="share">{share}</span></li>'
    )


def _resource(name: str) -> str:
    return files("whyhere.report").joinpath(name).read_text("utf-8")
