"""The contributions of an explanation as bars, by group: self-contained SVG without a drawing library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from whyhere.explain._explanation import Explanation
from whyhere.picture import Picture

LISTED = 3
"""Concepts drawn a group; the others are drawn as one bar."""
_WIDTH, _NAMES, _VALUES, _ROW, _TOP = 760, 230, 70, 18, 58
_FOR, _AGAINST, _SOFT, _INK = "#116f60", "#a84815", "#566068", "#1b2226"


@dataclass(frozen=True, slots=True)
class _Row:
    """One bar."""

    name: str
    value: float
    kind: str


def chart(explanation: Explanation) -> Picture:
    """Draw why here, or why here rather than there where the explanation holds a contrast."""
    contrast = explanation.contrast
    here = str(explanation.here.place)
    if contrast is None:
        title = f"What the score of {here} is made of"
        groups = [
            (group.name, group.contribution, [(c.shown_as, c.contribution) for c in group.concepts])
            for group in explanation.here.groups
        ]
        remainder, score = explanation.here.remainder, explanation.here.score
    else:
        title = f"{here} rather than {contrast.there.place}"
        groups = [
            (group.name, group.difference, [(c.shown_as, c.difference) for c in group.concepts])
            for group in contrast.groups
        ]
        remainder, score = contrast.remainder, contrast.score
    rows = [row for group in groups for row in _rows(*group)]
    rows += [_Row("unnamed remainder", remainder, "group"), _Row("sum", score, "sum")]
    return Picture(_svg(rows, title), title)


def _rows(name: str, total: float, concepts: Sequence[tuple[str, float]]) -> list[_Row]:
    """Return the bar of a group, those of its strongest concepts, and one of the rest; none for nothing."""
    active = sorted((c for c in concepts if c[1]), key=lambda concept: -abs(concept[1]))
    if not active:
        return []
    listed = sorted(active[:LISTED], key=lambda concept: -concept[1])
    rows = [_Row(name, total, "group"), *(_Row(n, value, "concept") for n, value in listed)]
    others = active[LISTED:]
    if others:
        what = "1 other" if len(others) == 1 else f"{len(others)} others"
        rows.append(_Row(what, sum(value for _, value in others), "rest"))
    return rows


def _svg(rows: Sequence[_Row], title: str) -> str:
    """Draw bars around one zero line; the remainder and the sum share the scale of the others."""
    lowest, highest = min(0.0, *(row.value for row in rows)), max(0.0, *(row.value for row in rows))
    span = (highest - lowest) or 1.0
    room = _WIDTH - _NAMES - _VALUES - 24
    axis = _NAMES + 12 + room * -lowest / span
    height = _TOP + _ROW * len(rows) + 14
    parts = [f'<path d="M{axis:.1f} {_TOP - 6}V{height - 8}" stroke="#999"/>']
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        width = max(abs(row.value) / span * room, 0.5)
        x = axis if row.value >= 0 else axis - width
        colour, strong = (_FOR if row.value >= 0 else _AGAINST), row.kind in ("group", "sum")
        weight = ' font-weight="600"' if strong else ""
        ink = _INK if strong else _SOFT
        parts.append(
            f'<text x="{_NAMES}" y="{y + 12}" text-anchor="end" fill="{ink}"{weight}>'
            f"{escape(row.name[:38])}</text>"
            f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="11" fill="{colour}" '
            f'fill-opacity="{0.9 if strong else 0.5}"/>'
            f'<text x="{_WIDTH - 8}" y="{y + 12}" text-anchor="end" fill="{ink}"{weight}>'
            f"{row.value:+.4f}</text>"
        )
    body = "\n".join(parts)
    name = escape(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<title>{name}</title>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="12" y="24" font-size="15" font-weight="600" fill="{_INK}">{name}</text>\n'
        f'<text x="12" y="42" fill="{_SOFT}">Right of the line speaks for it, left against it. '
        f"A hypothesis, not proof.</text>\n{body}\n</svg>\n"
    )
