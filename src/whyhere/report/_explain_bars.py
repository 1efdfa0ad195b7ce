"""The sum behind an explanation as an HTML table with bars, by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from whyhere.prediction import Answer, Contrast
from whyhere.report._explain_words import (
    Line,
    lines_of_contrast,
    lines_of_place,
    place_called,
    silent_groups,
    strength_text,
)
from whyhere.report._html_answer import BarScale, _bar
from whyhere.report._text import printable, signed

LISTED = 4
"""Concepts of a group that the page shows before the reader asks for all."""
_MINUS = "\N{MINUS SIGN}"


def bar_scale_of(values: Iterable[float], decimals: int) -> BarScale:
    """Return the scale on which every one of some contributions fits."""
    numbers = (0.0, *values)
    highest, lowest = max(numbers), -min(numbers)
    span = highest + lowest
    return BarScale(100 * lowest / span, 100 / span, decimals) if span else BarScale(50.0, 0.0, decimals)


def place_table(parts: Answer, scale: BarScale, *, caption: str) -> str:
    """Return the sum that is the score of a place."""
    lines = list(lines_of_place(parts, LISTED))
    body = "".join(
        _row(line, scale, "" if line.strength is None else escape(strength_text(line.strength, _MINUS)))
        for line in lines
    )
    silent = _silent(silent_groups(len(parts.groups), lines), columns=4)
    return (
        f'<table class="why sums"><caption>{escape(caption)}</caption><thead><tr><th scope="col">Concept</th>'
        '<th scope="col" class="number">Strength</th>'
        '<th scope="colgroup" colspan="2">Contribution to the score</th></tr></thead>'
        f'<tbody>{body}{silent}</tbody><tbody class="sum">'
        f"{_total('unnamed remainder', ('', '', parts.remainder), scale)}</tbody>"
        f"<tfoot>{_total('Score', ('', '', parts.score), scale)}</tfoot></table>"
    )


def contrast_table(here: Answer, contrast: Contrast, scale: BarScale, *, caption: str) -> str:
    """Return the difference of two scores, with both terms."""
    there = contrast.there
    lines = list(lines_of_contrast(contrast, LISTED))
    body = "".join(_row(line, scale, _signed(line.here, scale), _signed(line.there, scale)) for line in lines)
    silent = _silent(silent_groups(len(contrast.groups), lines), columns=5)
    names = tuple(place_called(place).partition(", ")[0] for place in (here, there))
    heads = "".join(f'<th scope="col" class="number term">{escape(printable(name))}</th>' for name in names)
    return (
        f'<table class="why sums"><caption>{escape(caption)}</caption><thead><tr><th scope="col">Concept</th>'
        f'{heads}<th scope="colgroup" colspan="2">Difference</th></tr></thead><tbody>{body}{silent}</tbody>'
        '<tbody class="sum">'
        f"{_total('unnamed remainder', (here.remainder, there.remainder, '', contrast.remainder), scale)}"
        f"</tbody><tfoot>{_total('Score', (here.score, there.score, '', contrast.score), scale)}"
        "</tfoot></table>"
    )


def all_concepts(parts: Answer, scale: BarScale) -> str:
    """Return every concept by group, folded away."""
    tables = "".join(
        f"<table><caption>{escape(printable(group.name))} "
        f"<span>{_signed(group.contribution, scale)}</span></caption>"
        + "".join(
            f'<tr><th scope="row">{escape(printable(concept.shown_as))}</th>'
            f"<td>{_signed(concept.contribution, scale)}</td></tr>"
            for concept in group.concepts
        )
        + "</table>"
        for group in parts.groups
    )
    count = sum(len(group.concepts) for group in parts.groups)
    label = "The one concept" if count == 1 else f"All {count} concepts"
    return (
        f'<details><summary>{label}, by group</summary><div class="all">{tables}</div>'
        f'<p class="note">Rounded to {scale.decimals} decimals, so a sum can be off in the last one.</p>'
        "</details>"
    )


def equation(parts: Answer, decimals: int) -> str:
    """Return for, against and remainder as the sum that is the score."""
    values = [concept.contribution for concept in parts.concepts]
    positive, negative = sum(v for v in values if v > 0), sum(v for v in values if v < 0)
    sign = "+" if parts.remainder >= 0 else _MINUS
    score = signed(parts.score, decimals, minus=_MINUS).removeprefix("+")
    return (
        f'<p class="equation"><span class="plus"><b>{positive:.{decimals}f}</b> for</span>'
        f'<span class="minus">{_MINUS} <b>{abs(negative):.{decimals}f}</b> against</span>'
        f"<span>{sign} <b>{abs(parts.remainder):.{decimals}f}</b> unnamed remainder</span>"
        f"<span>= <b>{score}</b> score</span></p>"
    )


def _row(line: Line, scale: BarScale, *numbers: str, kind: str = "number") -> str:
    cells = "".join(f'<td class="{kind}">{number}</td>' for number in numbers)
    bar = _bar(line.value, scale) if line.kind == "concept" and line.value else ""
    return (
        f'<tr class="{line.kind}"><th scope="row" class="name">{escape(printable(line.name))}</th>'
        f'{cells}<td class="track">{bar}</td><td class="value">{_signed(line.value, scale)}</td></tr>'
    )


def _total(label: str, values: Sequence[float | str], scale: BarScale) -> str:
    *before, last = (value if isinstance(value, str) else _signed(value, scale) for value in values)
    # Two terms and the place of the bar, or a strength and the place of the bar.
    kinds = ("number term", "number term", "track") if len(before) == 3 else ("number", "track")
    cells = "".join(f'<td class="{kind}">{value}</td>' for kind, value in zip(kinds, before, strict=True))
    return f'<tr class="rest"><th scope="row">{label}</th>{cells}<td class="value">{last}</td></tr>'


def _silent(count: int, *, columns: int) -> str:
    if not count:
        return ""
    text = f"{count} other group{'s' if count > 1 else ''}: nothing for or against"
    return f'<tr class="rest"><th scope="row" colspan="{columns}">{text}</th></tr>'


def _signed(value: float | None, scale: BarScale) -> str:
    return "" if value is None else signed(value, scale.decimals, minus=_MINUS)
