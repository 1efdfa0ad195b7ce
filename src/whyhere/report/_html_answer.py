"""One answer in a report: its map, its concepts as diverging bars, and the sum that is its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from whyhere.prediction import Answer, ConceptContribution, Prediction
from whyhere.report._canvas import number
from whyhere.report._inset_svg import inset_map
from whyhere.report._map_svg import Pin
from whyhere.report._maps import Surface
from whyhere.report._reasons import absent_text, cautions, shared_concepts, unconfirmed_text
from whyhere.report._text import (
    area_text,
    assumed,
    coordinates,
    kilometres,
    map_link,
    percent,
    printable,
    score_decimals,
    signed,
    town_text,
)

LISTED = 5
"""Concepts shown for and against an answer before the reader asks for all."""
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class BarScale:
    """What the bars of one photo share.

    Attributes:
        axis: Where the zero lies, in percent of the width.
        per_unit: Percent of the width for a contribution of 1.
        decimals: Decimals of contributions and scores.
    """

    axis: float
    per_unit: float
    decimals: int


def bar_scale(prediction: Prediction) -> BarScale:
    """Return the scale on which every concept of every answer fits."""
    values = [concept.contribution for answer in prediction.answers for concept in answer.concepts]
    highest, lowest = max((0.0, *values)), -min((0.0, *values))
    span = highest + lowest
    # One more decimal than the table of the command line: here the sum is to be checked.
    decimals = min(6, score_decimals(prediction) + 1)
    return BarScale(100 * lowest / span, 100 / span, decimals) if span else BarScale(50.0, 0.0, decimals)


def answer_section(
    prediction: Prediction,
    position: int,
    *,
    pins: Sequence[Pin],
    surface: Surface | None,
    scale: BarScale,
    prefix: str,
) -> str:
    """Return the section of one answer.

    Args:
        prediction: The photo's prediction.
        position: Index of the answer in it.
        pins: All its answers, for the map.
        surface: Its probability surface.
        scale: Scale of the bars.
        prefix: Start of every id, unique to the photo.
    """
    answer = prediction.answers[position]
    id = f"{prefix}-a{answer.rank}"
    area, _, rest = area_text(answer).partition(", ")
    within = assumed(f"within {kilometres(answer.radius_km)}", prediction.assumptions)
    chart = inset_map(
        pins,
        position,
        surface=surface,
        exif=prediction.exif_gps,
        id=f"{id}-map",
        title=f"Map around {area}, with a circle of {kilometres(answer.radius_km)}",
    )
    mark = " first" if answer.rank == 1 else ""
    return (
        f'<section class="answer{mark}" id="{id}" aria-labelledby="{id}-h"><h4 id="{id}-h">'
        f'<span class="disc-number">{answer.rank}</span>'
        f"<span>{escape(area)} <small>{escape(rest)}</small></span></h4>"
        f'<p class="facts"><span><b>{escape(percent(answer.probability))}</b> {escape(within)}</span>'
        f'<span class="spot">{coordinates(answer.lat, answer.lon)}</span>'
        f"<span>{escape(town_text(answer.place))}</span>"
        f'<a href="{escape(map_link(answer))}" rel="noopener noreferrer">OpenStreetMap</a></p>'
        f'<div class="evidence">{chart}{_table(prediction, answer, scale)}</div>{_equation(answer, scale)}'
        f"{_cautions(answer)}{_everything(answer, scale)}</section>"
    )


def _table(prediction: Prediction, answer: Answer, scale: BarScale) -> str:
    reasons = answer.reasons
    common = {row[0].id for row in shared_concepts(prediction, LISTED)}
    together = [concept for concept in reasons.speaking if concept.id in common]
    supporting = [concept for concept in reasons.speaking if concept.id not in common][:LISTED]
    opposing = reasons.against[:LISTED]
    body = ""
    for kind, label, concepts in (
        ("for", f"Speaks for it, as for all {len(prediction.answers)} places", together),
        ("for", "Speaks for it" + (" and not for all of them" if together else ""), supporting),
        ("against", "Speaks against it", opposing),
    ):
        if concepts:
            rows = "".join(_row(concept, scale) for concept in concepts)
            body += (
                f'<tbody class="side {kind}"><tr><th colspan="3" scope="rowgroup">{label}</th></tr></tbody>'
                f"<tbody>{rows}</tbody>"
            )
    told = (*together, *supporting, *opposing, *reasons.absent, *reasons.unconfirmed)
    listed = sum(concept.contribution for concept in told)
    others = len(answer.concepts) - len(told)
    named = sum(concept.contribution for concept in answer.concepts)
    rest = "".join(
        _folded_row(text)
        for text in (
            absent_text(reasons, scale.decimals, minus=_MINUS),
            unconfirmed_text(reasons, scale.decimals, minus=_MINUS),
        )
        if text
    )
    if others:
        label = "one other concept" if others == 1 else f"{others} other concepts"
        rest += _sum_row(label, named - listed, scale)
    rest += _sum_row("unnamed remainder", answer.remainder, scale)
    return (
        '<table class="why"><thead><tr><th scope="col">Concept</th>'
        '<th scope="colgroup" colspan="2">Contribution to the score</th></tr></thead>'
        f'{body}<tbody class="sum">{rest}</tbody>'
        f'<tfoot><tr><th scope="row" colspan="2">Score</th><td class="value">'
        f"{signed(answer.score, scale.decimals, minus=_MINUS)}</td></tr></tfoot></table>"
    )


def _folded_row(text: str) -> str:
    """Return a row for several concepts together: "Less than usual: snow and fjord (+0.031)"."""
    label, _, value = text.rpartition(" (")
    return (
        f'<tr class="rest"><th scope="row" colspan="2">{escape(label)}</th>'
        f'<td class="value">{escape(value.removesuffix(")"))}</td></tr>'
    )


def _cautions(answer: Answer) -> str:
    return "".join(f'<p class="note">{escape(text)}</p>' for text in cautions(answer.reasons))


def _row(concept: ConceptContribution, scale: BarScale) -> str:
    return (
        f'<tr class="bar"><th scope="row" class="name">{escape(printable(concept.shown_as))} '
        f'<span class="group">{escape(printable(concept.meaning or concept.group))}</span></th>'
        f"<td>{_bar(concept.contribution, scale)}</td>"
        f'<td class="value">{signed(concept.contribution, scale.decimals, minus=_MINUS)}</td></tr>'
    )


def _sum_row(label: str, value: float, scale: BarScale) -> str:
    return (
        f'<tr class="rest"><th scope="row" colspan="2">{label}</th>'
        f'<td class="value">{signed(value, scale.decimals, minus=_MINUS)}</td></tr>'
    )


def _bar(value: float, scale: BarScale) -> str:
    # Half a percent keeps the smallest bar visible.
    width = max(abs(value) * scale.per_unit, 0.5)
    start, kind = (scale.axis, "plus") if value > 0 else (scale.axis - width, "minus")
    return (
        '<svg class="bars" aria-hidden="true" focusable="false">'
        f'<rect class="{kind}" x="{number(max(start, 0.0))}%" y="2" width="{number(width)}%" height="10" '
        'rx="2"/>'
        f'<rect class="axis" x="{number(scale.axis)}%" width="1" height="14"/></svg>'
    )


def _equation(answer: Answer, scale: BarScale) -> str:
    positive = sum(concept.contribution for concept in answer.concepts if concept.contribution > 0)
    negative = sum(concept.contribution for concept in answer.concepts if concept.contribution < 0)
    digits = scale.decimals
    remainder = f"{'+' if answer.remainder >= 0 else _MINUS} <b>{abs(answer.remainder):.{digits}f}</b>"
    return (
        f'<p class="equation"><span class="plus"><b>{positive:.{digits}f}</b> for</span>'
        f'<span class="minus">{_MINUS} <b>{abs(negative):.{digits}f}</b> against</span>'
        f"<span>{remainder} unnamed remainder</span>"
        f"<span>= <b>{signed(answer.score, digits, minus=_MINUS).removeprefix('+')}</b> score</span></p>"
    )


def _everything(answer: Answer, scale: BarScale) -> str:
    groups: dict[str, list[ConceptContribution]] = {}
    for concept in answer.concepts:
        groups.setdefault(concept.group, []).append(concept)
    if not groups:
        return ""
    totals = {name: sum(concept.contribution for concept in members) for name, members in groups.items()}
    tables = "".join(
        f"<table><caption>{escape(printable(name))} "
        f"<span>{signed(totals[name], scale.decimals, minus=_MINUS)}</span></caption>"
        f"{''.join(_plain_row(concept, scale) for concept in groups[name])}</table>"
        for name in sorted(groups, key=lambda name: -totals[name])
    )
    count = len(answer.concepts)
    label = "The one concept" if count == 1 else f"All {count} concepts"
    return (
        f'<details><summary>{label}, by group</summary><div class="all">{tables}</div>'
        f'<p class="note">Rounded to {scale.decimals} decimals, so a sum can be off in the last one.</p>'
        "</details>"
    )


def _plain_row(concept: ConceptContribution, scale: BarScale) -> str:
    return (
        f'<tr><th scope="row">{escape(printable(concept.shown_as))}</th>'
        f"<td>{signed(concept.contribution, scale.decimals, minus=_MINUS)}</td></tr>"
    )
