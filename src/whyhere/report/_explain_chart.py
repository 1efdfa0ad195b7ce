"""The contributions of an explanation as bars, by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whyhere.explain import Explanation
from whyhere.picture import Picture
from whyhere.prediction import UNCONFIRMED
from whyhere.reasons import folded
from whyhere.report._canvas import Item, Label, Shape, picture, rectangle
from whyhere.report._explain_words import place_called
from whyhere.report._text import assumed, printable

LISTED = 3
"""Concepts drawn a group; the others are drawn as one bar."""
_WIDTH, _NAMES, _VALUES, _ROW, _TOP = 760, 230, 70, 18, 74
_FOR, _AGAINST, _SOFT, _INK = "#116f60", "#a84815", "#566068", "#1b2226"
_FOR_PART, _AGAINST_PART = "#88b7af", "#d4a48a"  # half as strong, on white
_HOW = "Right of the line speaks for it, left against it. A hypothesis, not proof."


@dataclass(frozen=True, slots=True)
class _Row:
    """One bar."""

    name: str
    value: float
    kind: str


def chart(explanation: Explanation) -> Picture:
    """Draw why here, or why here rather than there where the explanation holds a contrast."""
    contrast = explanation.contrast
    rows: list[_Row] = []
    here = place_called(explanation.here)
    if contrast is None:
        title = f"What the score of {here} is made of"
        reasons = explanation.here.reasons
        for group in explanation.here.groups:
            told, hidden = folded(group.concepts, reasons)
            named = [(c.shown_as, c.contribution) for c in told]
            rows += _rows(group.name, group.contribution, named, [_Row(*line, "rest") for line in hidden])
        remainder, score = explanation.here.remainder, explanation.here.score
    else:
        title = f"{here} rather than {place_called(contrast.there)}"
        for other in contrast.groups:
            rows += _rows(other.name, other.difference, [(c.shown_as, c.difference) for c in other.concepts])
        remainder, score = contrast.remainder, contrast.score
    rows += [_Row("unnamed remainder", remainder, "group"), _Row("sum", score, "sum")]
    prediction = explanation.prediction
    source = assumed(f"Release {printable(prediction.release)}", prediction.assumptions)
    return _drawn(rows, title, source)


def _rows(
    name: str, total: float, concepts: Sequence[tuple[str, float]], hidden: Sequence[_Row] = ()
) -> list[_Row]:
    """Return the bar of a group, those of its strongest concepts, and of the rest; none for nothing."""
    active = sorted((c for c in concepts if c[1]), key=lambda concept: -abs(concept[1]))
    if not active and not hidden:
        return []
    listed = sorted(active[:LISTED], key=lambda concept: -concept[1])
    rows = [_Row(name, total, "group"), *(_Row(n, value, "concept") for n, value in listed)]
    others = active[LISTED:]
    if others:
        what = "1 other" if len(others) == 1 else f"{len(others)} others"
        rows.append(_Row(what, sum(value for _, value in others), "rest"))
    return [*rows, *hidden]


def _drawn(rows: Sequence[_Row], title: str, source: str) -> Picture:
    """Draw bars around one zero line; the remainder and the sum share the scale of the others."""
    lowest, highest = min(0.0, *(row.value for row in rows)), max(0.0, *(row.value for row in rows))
    span = (highest - lowest) or 1.0
    room = _WIDTH - _NAMES - _VALUES - 24
    axis = _NAMES + 12 + room * -lowest / span
    foot = float(_TOP + _ROW * len(rows) + 14)
    starred = any("*" in row.name for row in rows)
    height = foot + 18 if starred else foot
    items: list[Item] = [
        Label(12, 24, title, 15, colour=_INK, bold=True),
        Label(12, 42, _HOW, 12, colour=_SOFT),
        Label(12, 58, source, 11, colour=_SOFT),
        Shape([np.array([(axis, _TOP - 6.0), (axis, foot - 8)])], stroke="#999999", closed=False),
    ]
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        width = max(abs(row.value) / span * room, 0.5)
        x = axis if row.value >= 0 else axis - width
        strong = row.kind in ("group", "sum")
        full, part = (_FOR, _FOR_PART) if row.value >= 0 else (_AGAINST, _AGAINST_PART)
        ink = _INK if strong else _SOFT
        items += [
            Label(_NAMES, y + 12, row.name[:38], 12, "end", ink, strong),
            rectangle(x, y + 3, width, 11, full if strong else part),
            Label(_WIDTH - 8, y + 12, f"{row.value:+.4f}", 12, "end", ink, strong),
        ]
    if starred:
        items.append(Label(12, foot + 6, UNCONFIRMED, 11, colour=_SOFT))
    words = f"{title}: {len(rows)} bars. {_HOW} {source}."
    return picture(items, width=_WIDTH, height=height, title=title, words=words)
