"""Three small charts as self-contained SVG: errors, reliability, risk and coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from whyhere.evaluation._accuracy import THRESHOLDS_KM
from whyhere.evaluation._evaluation import Evaluation

_WIDTH, _HEIGHT = 520, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 44, 52
_INK, _GRID, _BLUE, _GREY = "#222", "#ddd", "#0b62a4", "#888"

Point = tuple[float, float]


def error_chart(evaluation: Evaluation) -> str:
    """Return the share of photos within each distance, from 1 km on, on a logarithmic axis."""
    error_km = np.array([score.error_km for score in evaluation.scores])
    decades = np.linspace(0.0, math.log10(20_100), 121)
    curve = [(float(x), float((error_km <= 10**x).mean())) for x in decades]
    marks = [(math.log10(t), float((error_km <= t).mean())) for t in THRESHOLDS_KM]
    ticks = [(math.log10(t), f"{t:,.0f}") for t in (*THRESHOLDS_KM, 10_000.0)]
    body = _line(curve, decades[-1], _BLUE) + _dots([(x, y, 4.0) for x, y in marks], decades[-1])
    return _frame(
        f"{evaluation.system}: share of {evaluation.photos:,} photos within a distance",
        "great-circle distance to the truth, km",
        "share of photos",
        ticks,
        float(decades[-1]),
        body,
    )


def reliability_chart(evaluation: Evaluation) -> str | None:
    """Return stated probability against what happened, or None where no probabilities are stated."""
    found = evaluation.calibration.reliability
    if found is None:
        return None
    largest = max(b.photos for b in found.bins)
    body = _line([(0.0, 0.0), (1.0, 1.0)], 1.0, _GREY, dashed=True)
    body += _line([(b.probability, b.right) for b in found.bins], 1.0, _BLUE)
    body += _dots([(b.probability, b.right, 3 + 7 * math.sqrt(b.photos / largest)) for b in found.bins], 1.0)
    ece = f"{found.ece.value:.3f}"
    return _frame(
        f"{evaluation.system}: reliability on {found.photos:,} photos, ECE {ece}",
        "probability of the first answer",
        "truth within its radius",
        _FIFTHS,
        1.0,
        body,
    )


def risk_coverage_chart(evaluation: Evaluation) -> str | None:
    """Return the right share among the surest photos, or None where the system never says how sure it is."""
    found = evaluation.calibration.risk_coverage
    if found is None:
        return None
    points = list(zip(found.coverage, found.right, strict=True))
    body = _line([(0.0, found.right[0]), (1.0, found.right[0])], 1.0, _GREY, dashed=True)
    body += _line(points, 1.0, _BLUE) + _dots([(x, y, 3.5) for x, y in points], 1.0)
    return _frame(
        f"{evaluation.system}: answering only the surest of {found.photos:,} photos",
        f"share of photos answered, by {found.order}",
        "truth within the radius",
        _FIFTHS,
        1.0,
        body,
    )


_FIFTHS = [(step / 5, f"{step / 5:.1f}") for step in range(6)]


def _x(value: float, x_max: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / x_max


def _y(value: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value


def _line(points: Sequence[Point], x_max: float, color: str, *, dashed: bool = False) -> str:
    steps = " ".join(f"{_x(x, x_max):.1f},{_y(y):.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{steps}" fill="none" stroke="{color}" stroke-width="2"{dash}/>\n'


def _dots(points: Sequence[tuple[float, float, float]], x_max: float) -> str:
    return "".join(
        f'<circle cx="{_x(x, x_max):.1f}" cy="{_y(y):.1f}" r="{radius:.1f}" fill="{_BLUE}" '
        'fill-opacity=".7"/>\n'
        for x, y, radius in points
    )


def _frame(
    title: str, x_label: str, y_label: str, ticks: Sequence[tuple[float, str]], x_max: float, body: str
) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    grid = "".join(
        f'<path d="M{_x(value, x_max):.1f} {_TOP}V{bottom}" stroke="{_GRID}"/>'
        f'<text x="{_x(value, x_max):.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>\n'
        for value, text in ticks
    )
    grid += "".join(
        f'<path d="M{_LEFT} {_y(value):.1f}H{right}" stroke="{_GRID}"/>'
        f'<text x="{_LEFT - 8}" y="{_y(value) + 4:.1f}" text-anchor="end">{100 * value:.0f} %</text>\n'
        for value, _ in _FIFTHS
    )
    name = escape(_plain(title))
    middle = (_TOP + bottom) // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">\n'
        f'<title>{name}</title>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="{_LEFT}" y="24" font-size="13">{name}</text>\n{grid}{body}'
        f'<text x="{(_LEFT + right) // 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>\n'
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>\n"
        "</svg>\n"
    )


def _plain(text: str) -> str:
    """Drop what XML cannot hold and what moves a reader's cursor."""
    from whyhere.images import display_name

    return display_name(text)
