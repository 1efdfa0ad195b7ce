"""Predictions and explanations in notebooks and at a prompt: three lines, a picture, files of any format."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable

from whyhere._text import printable
from whyhere.picture import Files, Picture
from whyhere.prediction import UNCONFIRMED, ConceptContribution, Explanation, Prediction, ReleaseCard
from whyhere.report._canvas import SOFT, Item, Label, picture
from whyhere.report._charts import Bar, bars
from whyhere.report._formats import render, stream_explanation
from whyhere.report._maps import CellLayer, Frame, classify, density_text, map_panel, panel_height
from whyhere.report.geometry import WORLD_WIDTH
from whyhere.report.words import (
    HYPOTHESIS,
    NO_PLACE,
    PLACE_NAMES,
    area_text,
    assumed,
    assumption_texts,
    chance_text,
    coordinates,
    countries_text,
    decimals_for,
    difference_of,
    headline,
    kilometres,
    least_unlikely_text,
    place_called,
    signed,
    sum_of,
    town_text,
)

_NAMED = 3
_LISTED = 3  # concepts drawn a group; the others are drawn as one bar
_LETTERS = 110  # of a line below a map, in bold
_DENSITIES = ("#fbd88b", "#f8b862", "#f2954d", "#df6238", "#b4323c", "#701445")  # as in the report
_SUFFIXES = {".txt": "table", ".htm": "html"} | {
    f".{name}": name for name in ("json", "jsonl", "csv", "geojson", "kml", "gpx", "html")
}
_EXPLANATION_SUFFIXES = {".txt": "table", ".json": "json", ".html": "html", ".htm": "html"}
_HOW = "Right of the line speaks for it, left against it. A hypothesis, not proof."


def prediction_lines(prediction: Prediction) -> tuple[str, str, str]:
    """Return a prediction in three lines."""
    head = f"Prediction of {printable(prediction.photo)} by {printable(prediction.release)}"
    if not prediction.answers:
        return assumed(head, prediction.assumptions), "no answer", ""
    first = prediction.answers[0]
    best = headline(prediction)
    if prediction.abstained:
        chance = chance_text(first.probability, first.radius_km, prediction.assumptions)
        best = f"{NO_PLACE.rstrip('.').lower()}; least unlikely: {area_text(first)}, {chance}"
    best += f" ({coordinates(first.lat, first.lon)}; {town_text(first.place)})"
    others = len(prediction.answers) - 1
    more = f"; {others} more answer{'s' if others > 1 else ''}" if others else ""
    reasons = first.reasons
    return head, best, _named(reasons.speaking[:_NAMED], reasons.against[:_NAMED]) + more


def explanation_lines(explanation: Explanation) -> tuple[str, str, str]:
    """Return an explanation in three lines."""
    prediction, here = explanation.prediction, explanation.here
    where = place_called(here)
    decimals = decimals_for(concept.contribution for concept in here.concepts)
    reasons = here.reasons
    head = f"Explanation of {printable(prediction.photo)} by {printable(prediction.release)}: why {where}?"
    named = _named(reasons.speaking[:_NAMED], reasons.against[:_NAMED])
    rest = f"unnamed remainder {signed(here.remainder, decimals)}"
    score = f"score {here.score:.{decimals}f}: {named}; {rest}"
    said = [chance_text(here.probability, here.radius_km, prediction.assumptions)]
    if explanation.contrast is not None:
        there, gap = place_called(explanation.contrast.there), explanation.contrast.score
        said.append(f"{signed(gap, decimals)} rather than {there}")
    if explanation.intervention is not None:
        said.append(
            f"changed as asked, the first answer moves {kilometres(explanation.intervention.shift_km)}"
        )
    return head, score, "; ".join(said)


def _named(speaking: Iterable[ConceptContribution], against: Iterable[ConceptContribution]) -> str:
    """Return "for a, b; against c"."""
    parts = []
    for word, concepts in (("for", speaking), ("against", against)):
        names = ", ".join(printable(concept.shown_as) for concept in concepts)
        parts += [f"{word} {names}"] if names else []
    return "; ".join(parts) or "no named concept speaks"


def prediction_picture(prediction: Prediction) -> Picture:
    """Draw the probability surface and the answers on a map of the world, and name the answers below."""
    cells = [cell for cell in prediction.surface if cell.probability > 0]
    found = classify(cells)
    legend = [(colour, "") for colour in _DENSITIES]
    layer = CellLayer(colours=_DENSITIES)
    if found is not None:
        layer = CellLayer([cell.cell for cell in cells], found.classes, _DENSITIES)
        limits = f"under {density_text(found.limits[0])} to over {density_text(found.limits[-1])}"
        legend[-1] = (_DENSITIES[-1], f"{limits} within 100 by 100 km")
    pins = [(str(answer.rank), answer.lat, answer.lon) for answer in reversed(prediction.answers)]
    name = printable(prediction.photo)
    caption = f"{name if len(name) <= 60 else '...' + name[-57:]} ({printable(prediction.release)})"
    items: list[Item] = map_panel(layer, Frame(), caption=caption, legend=legend if cells else (), pins=pins)
    y = panel_height() + 16.0
    notes = [
        f"{NO_PLACE} {least_unlikely_text(prediction)}" if prediction.abstained else headline(prediction)
    ]
    notes += [f"Countries: {countries}"] if (countries := countries_text(prediction)) else []
    notes += assumption_texts(prediction.assumptions)
    for text in (line for note in notes for line in textwrap.wrap(note, _LETTERS)):
        items.append(Label(6.0, y, text, 13.0, bold=True))
        y += 19.0
    for answer in prediction.answers:
        chance = chance_text(answer.probability, answer.radius_km, prediction.assumptions)
        items.append(Label(6.0, y, f"{answer.rank}  {area_text(answer)}: {chance}", 13.0))
        y += 19.0
    items.append(Label(6.0, y, f"{HYPOTHESIS} {PLACE_NAMES} Map: Natural Earth.", 11.0, colour=SOFT))
    words = "; ".join(prediction_lines(prediction))
    return picture(items, width=WORLD_WIDTH, height=y + 12.0, title=f"whyhere: {name}", words=words)


def explanation_picture(explanation: Explanation) -> Picture:
    """Draw why here, or why here rather than there where there is a contrast, as bars by group."""
    contrast, here = explanation.contrast, explanation.here
    if contrast is None:
        title, found = f"What the score of {place_called(here)} is made of", sum_of(here, _LISTED)
    else:
        title = f"{place_called(here)} rather than {place_called(contrast.there)}"
        found = difference_of(here, contrast, _LISTED, equal=False)
    rows = [Bar(line.name, line.value, line.kind == "group") for line in found.lines]
    rows += [Bar("unnamed remainder", found.remainder.value, True), Bar("sum", found.score.value, True)]
    prediction = explanation.prediction
    source = assumed(f"Release {printable(prediction.release)}", prediction.assumptions)
    foot = UNCONFIRMED if any("*" in row.name for row in rows) else ""
    return bars(title, rows, notes=(_HOW, source), foot=foot)


def prediction_files(prediction: Prediction) -> Files:
    """Return what makes a file of a prediction, by suffix."""

    def written(format: str) -> Callable[[], str]:
        return lambda: render([prediction], format, card=_card(prediction))

    return {suffix: written(format) for suffix, format in _SUFFIXES.items()} | {
        ".svg": lambda: prediction_picture(prediction).svg,
        ".png": lambda: prediction_picture(prediction).png(),
    }


def explanation_files(explanation: Explanation) -> Files:
    """Return what makes a file of an explanation, by suffix."""
    card = _card(explanation.prediction)

    def written(format: str) -> Callable[[], str]:
        return lambda: "".join(stream_explanation(explanation, format, card=card))

    files = {suffix: written(format) for suffix, format in _EXPLANATION_SUFFIXES.items()}
    return {**files, **explanation_picture(explanation).files()}


def _card(prediction: Prediction) -> ReleaseCard:
    """Return what is known of the release; a prediction made by hand knows its name alone."""
    name, _, version = prediction.release.rpartition(" ")
    return prediction.card or ReleaseCard(name or version, version, "", "", (), (PLACE_NAMES,))
