"""The contributions of an explanation as bars, by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whyhere.picture import Picture
from whyhere.prediction import UNCONFIRMED, Explanation
from whyhere.reasons import folded
from whyhere.report._charts import Bar, bars
from whyhere.report._explain_words import place_called
from whyhere.report._text import assumed, printable

_LISTED = 3  # concepts drawn a group; the others are drawn as one bar
_HOW = "Right of the line speaks for it, left against it. A hypothesis, not proof."


def chart(explanation: Explanation) -> Picture:
    """Draw why here, or why here rather than there where the explanation holds a contrast."""
    contrast, here = explanation.contrast, explanation.here
    rows: list[Bar] = []
    if contrast is None:
        title = f"What the score of {place_called(here)} is made of"
        for group in here.groups:
            told, hidden = folded(group.concepts, here.reasons)
            named = [(c.shown_as, c.contribution) for c in told]
            rows += _rows(group.name, group.contribution, named, [Bar(*line) for line in hidden])
        remainder, score = here.remainder, here.score
    else:
        title = f"{place_called(here)} rather than {place_called(contrast.there)}"
        for other in contrast.groups:
            differences = [(c.shown_as, c.difference) for c in other.concepts]
            rows += _rows(other.name, other.contribution, differences)
        remainder, score = contrast.remainder, contrast.score
    rows += [Bar("unnamed remainder", remainder, True), Bar("sum", score, True)]
    prediction = explanation.prediction
    source = assumed(f"Release {printable(prediction.release)}", prediction.assumptions)
    foot = UNCONFIRMED if any("*" in row.name for row in rows) else ""
    return bars(title, rows, notes=(_HOW, source), foot=foot)


def _rows(
    name: str, total: float, concepts: Iterable[tuple[str, float]], hidden: Sequence[Bar] = ()
) -> list[Bar]:
    """Return the bar of a group, those of its strongest concepts, and of the rest; none for nothing."""
    active = sorted((c for c in concepts if c[1]), key=lambda concept: -abs(concept[1]))
    if not active and not hidden:
        return []
    listed = sorted(active[:_LISTED], key=lambda concept: -concept[1])
    rows = [Bar(name, total, True), *(Bar(n, value) for n, value in listed)]
    if others := active[_LISTED:]:
        what = "1 other" if len(others) == 1 else f"{len(others)} others"
        rows.append(Bar(what, sum(value for _, value in others)))
    return [*rows, *hidden]
