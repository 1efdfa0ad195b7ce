"""The section of a report that one photo gets: what stands out first, then each answer."""

from __future__ import annotations

import base64
from html import escape

from whyhere.prediction import UNCONFIRMED, Answer, Prediction
from whyhere.report._canvas import number
from whyhere.report._html_answer import answer_section, bar_scale
from whyhere.report._map_svg import Pin, world_map
from whyhere.report._maps import CLASSES, Surface, classify, density_text
from whyhere.report._reasons import cautions, listed_text
from whyhere.report._text import (
    COUNTRIES,
    area_text,
    assumed,
    assumption_texts,
    chance_text,
    coordinates,
    countries_text,
    exif_text,
    kilometres,
    least_unlikely_text,
    percent,
    printable,
    verdict,
)


def photo_section(prediction: Prediction, *, index: int, total: int) -> str:
    """Return the article about one photo.

    Args:
        prediction: What to show.
        index: Number of the photo on the page, from 1; part of every id.
        total: How many photos the page shows.
    """
    name = escape(printable(prediction.photo))
    surface = classify(prediction.surface)
    pins = [Pin(str(a.rank), a.lat, a.lon, a.radius_km) for a in prediction.answers]
    scale = bar_scale(prediction)
    answers = "".join(
        answer_section(prediction, position, pins=pins, surface=surface, scale=scale, prefix=f"p{index}")
        for position in range(len(prediction.answers))
    )
    heading = "The photo" if total == 1 else f"Photo {index} of {total}"
    places = "place" if len(pins) == 1 else f"{len(pins)} places"
    evidence = f"<h3>The {places}, and why</h3>{answers}" if pins else ""
    return (
        f'<article class="sheet photo" id="p{index}" aria-labelledby="p{index}-h">'
        f'<div class="top"><div><h2 id="p{index}-h">{heading}</h2>{_shot(prediction, name)}</div>'
        f"<div>{_verdict(prediction, index)}</div></div>"
        f"{_world(prediction, pins, surface, index)}{evidence}{_star(prediction)}</article>"
    )


def _star(prediction: Prediction) -> str:
    """Explain the mark of concepts that no open map confirms, where there is one."""
    starred = any(concept.unconfirmed for answer in prediction.answers for concept in answer.concepts)
    return f'<p class="note">{UNCONFIRMED}</p>' if starred else ""


def _shot(prediction: Prediction, name: str) -> str:
    if prediction.thumbnail is None:
        picture = '<div class="nothing">No preview of this photo was kept.</div>'
    else:
        data = base64.b64encode(prediction.thumbnail).decode()
        picture = f'<img src="data:image/jpeg;base64,{data}" alt="The photo {name}">'
    return f'<figure class="shot">{picture}<figcaption>{name}</figcaption></figure>'


def _verdict(prediction: Prediction, index: int) -> str:
    parts = []
    lead, area = verdict(prediction)
    if area:
        parts.append(_best(prediction, lead, area))
    else:
        kicker = '<p class="kicker">Abstained</p>' if prediction.abstained else ""
        parts.append(f'{kicker}<p class="best">{lead}</p>')
    if prediction.abstained:
        parts.append(f'<p class="abstained">{escape(least_unlikely_text(prediction))}</p>')
    parts += [f'<p class="reason">{escape(text)}</p>' for text in assumption_texts(prediction.assumptions)]
    parts.append(country_strip(prediction))
    if prediction.answers:
        parts.append(_glance(prediction, index))
    if (gps := exif_text(prediction)) is not None:
        parts.append(
            '<p class="gps"><svg viewBox="0 0 14 14" aria-hidden="true" focusable="false">'
            '<path class="exif" d="M7 1l6 6-6 6-6-6z"/></svg>'
            f"<span><strong>EXIF GPS</strong> {gps}. Not used to answer.</span></p>"
        )
    return "".join(parts)


def _best(prediction: Prediction, lead: str, area: str) -> str:
    answer = prediction.answers[0]
    area, _, rest = area.partition(", ")
    within = f"within {kilometres(answer.radius_km)} of"
    spot = f'<span class="spot">{coordinates(answer.lat, answer.lon)}</span>'
    return (
        f'<p class="kicker">{lead}</p><p class="best">{escape(area)}<small>{escape(rest)}</small></p>'
        f'<p class="odds"><strong>{escape(percent(answer.probability))}</strong> {within} '
        f"{spot}{escape(assumed('', prediction.assumptions))}</p>{_reason(answer)}"
    )


def country_strip(prediction: Prediction) -> str:
    """Return the probability by country as one strip, with its parts named below; empty where unknown."""
    if not (text := countries_text(prediction)):
        return ""
    start, bars = 0.0, ""
    for row, country in enumerate(prediction.countries[:COUNTRIES]):
        width = 100 * country.probability
        bars += f'<rect class="n{row}" x="{number(start)}%" width="{number(width)}%" height="100%"/>'
        start += width
    return (
        '<figure class="countries"><svg aria-hidden="true" focusable="false">'
        f'<rect class="all" width="100%" height="100%"/>{bars}</svg>'
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )


def _reason(answer: Answer) -> str:
    sides, reasons = [], answer.reasons
    for label, concepts in (("For it", reasons.speaking[:3]), ("Against it", reasons.against[:2])):
        if concepts:
            names = [f"<b>{escape(printable(concept.shown_as))}</b>" for concept in concepts]
            sides.append(f"{label}: {listed_text(names)}.")
    told = f'<p class="reason">{" ".join(sides)}</p>' if sides else ""
    return told + "".join(f'<p class="reason">{escape(text)}</p>' for text in cautions(reasons))


def _glance(prediction: Prediction, index: int) -> str:
    rows = []
    for answer in prediction.answers:
        mark = ' class="first"' if answer.rank == 1 else ""
        rows.append(
            f'<tr{mark}><td class="rank"><span class="disc-number">{answer.rank}</span></td>'
            f'<th scope="row"><a href="#p{index}-a{answer.rank}">{escape(area_text(answer))}</a>'
            f" <small>within {kilometres(answer.radius_km)}</small></th>"
            f'<td class="track">{_meter(answer.probability, "part")}</td>'
            f'<td class="share">{escape(percent(answer.probability))}</td></tr>'
        )
    rest = max(0.0, 1.0 - sum(answer.probability for answer in prediction.answers))
    rows.append(
        f'<tr class="rest"><td class="rank"></td><th scope="row">anywhere else</th>'
        f'<td class="track">{_meter(rest, "other")}</td><td class="share">{escape(percent(rest))}</td></tr>'
    )
    label = escape(assumed("Answers and their probability", prediction.assumptions))
    return f'<table class="glance"><caption>{label}</caption>{"".join(rows)}</table>'


def _meter(share: float, kind: str) -> str:
    width = number(100 * min(max(share, 0.0), 1.0))
    return (
        '<svg class="meter" aria-hidden="true" focusable="false">'
        '<rect class="all" width="100%" height="100%"/>'
        f'<rect class="{kind}" width="{width}%" height="100%"/></svg>'
    )


def _world(prediction: Prediction, pins: list[Pin], surface: Surface | None, index: int) -> str:
    places = "; ".join(
        f"{answer.rank}: {area_text(answer)}, "
        + chance_text(answer.probability, answer.radius_km, prediction.assumptions)
        for answer in prediction.answers
    )
    chart = world_map(
        pins,
        surface=surface,
        exif=prediction.exif_gps,
        id=f"p{index}-map",
        title="World map of the answers",
        description=f"Answers by number: {places}." if places else "No answers.",
    )
    keys = ['<span><svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
            '<circle class="radius-key" cx="8" cy="8" r="6"/></svg>radius of an answer</span>']  # fmt: skip
    if prediction.exif_gps is not None:
        keys.append(
            '<span><svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
            '<path class="exif" d="M8 2l6 6-6 6-6-6z"/></svg>EXIF GPS</span>'
        )
    legend = "" if surface is None else _legend(surface)
    return (
        f'<figure class="world">{chart}<figcaption>{legend}<div class="keys">{"".join(keys)}</div>'
        "</figcaption></figure>"
    )


def _legend(surface: Surface) -> str:
    width, height = 48, 12
    boxes = "".join(
        f'<rect class="cell c{level}" x="{level * width}" width="{width}" height="{height}"/>'
        for level in range(CLASSES)
    )
    ticks = "".join(
        f'<text x="{(level + 1) * width}" y="{height + 14}">{density_text(limit)}</text>'
        for level, limit in enumerate(surface.limits)
    )
    described = ", ".join(density_text(limit) for limit in surface.limits)
    return (
        '<div class="legend">Probability per 100 \N{MULTIPLICATION SIGN} 100 km; '
        f"the shading holds {percent(surface.probability)}"
        f'<svg role="img" viewBox="0 0 {CLASSES * width} {height + 18}" '
        f'aria-label="{CLASSES} shades of rising probability, with limits at {described}">'
        f"{boxes}{ticks}</svg></div>"
    )
