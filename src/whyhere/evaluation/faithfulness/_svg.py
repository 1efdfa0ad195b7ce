"""Small charts as SVG, written by hand: text stays text, and diffs stay readable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from whyhere._text import printable
from whyhere.stats import Interval

BLUE, GREY, RED, GRID = "#0b62a4", "#888", "#d00", "#ddd"
# Okabe and Ito's colours, which most colour-blind readers can tell apart.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'
_ROW = 18


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart of intervals.

    Attributes:
        name: What it is.
        value: Drawn in blue.
        control: Drawn in grey; None without one.
    """

    name: str
    value: Interval
    control: Interval | None = None


def intervals(title: str, bars: Sequence[Bar], *, label: str, mark: float | None = None) -> str:
    """Draw values with their intervals, one row each, and their controls below them.

    Args:
        title: Title.
        bars: The rows.
        label: What the axis shows.
        mark: Where a dashed line goes: 0, or the bar to pass.
    """
    left = 16 + 6.4 * max((len(bar.name) for bar in bars), default=0)
    width, top = left + 380, 48
    height = top + _ROW * len(bars) + 44
    numbers = [
        number
        for bar in bars
        for one in (bar.value, bar.control)
        if one is not None
        for number in (one.value, one.low, one.high)
        if math.isfinite(number)
    ]
    axis = _Axis.over([*numbers, *([mark] if mark is not None else [])], left, 360)
    parts = axis.grid(top, height - 40, label)
    if mark is not None:
        x = axis.at(mark)
        line = f'<path d="M{x:.1f} {top}V{height - 40}" stroke="{RED}" stroke-dasharray="4 3"/>'
        parts.append(line)
    for row, bar in enumerate(bars):
        y = top + _ROW * row + _ROW / 2
        parts.append(text(left - 8, y, bar.name, anchor="end"))
        if bar.control is not None:
            parts += axis.interval(bar.control, y + 4, GREY)
        parts += axis.interval(bar.value, y - (2 if bar.control else 0), BLUE)
    parts += legend((("measured", BLUE), ("control", GREY)) if any(b.control for b in bars) else ())
    return document(width, height, title, parts)


def curves(
    title: str,
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[tuple[float, str]] = (),
    bands: Sequence[tuple[str, Sequence[tuple[float, float, float]]]] = (),
) -> str:
    """Draw curves with bands around them.

    Args:
        title: Title.
        lines: Name, colour and points.
        x_label: Below the axis.
        y_label: Beside it.
        x_ticks: Positions and texts; chosen where none are given.
        bands: Colour, and (x, low, high) points.
    """
    width, height, left, top, bottom = 560, 360, 66, 48, 48
    xs = [x for _, _, points in lines for x, _ in points] + [x for x, _ in x_ticks]
    ys = [y for _, _, points in lines for _, y in points]
    ys += [y for _, points in bands for _, low, high in points for y in (low, high)]
    across = _Axis.over(xs, left, width - left - 20, pad=0.03)
    up = _Axis.over(ys, 0, height - top - bottom)

    def at(x: float, y: float) -> str:
        return f"{across.at(x):.1f},{height - bottom - up.at(y):.1f}"

    parts = []
    for tick in up.ticks():
        y = height - bottom - up.at(tick)
        parts.append(f'<path d="M{left} {y:.1f}H{width - 20}" stroke="{GRID}"/>')
        parts.append(text(left - 6, y, number(tick, up.step), anchor="end"))
    for tick, name in x_ticks or [(tick, number(tick, across.step)) for tick in across.ticks()]:
        parts.append(text(across.at(tick), height - bottom + 14, name, anchor="middle"))
    for colour, spread in bands:
        outline = [at(x, low) for x, low, _ in spread] + [at(x, high) for x, _, high in reversed(spread)]
        parts.append(f'<polygon points="{" ".join(outline)}" fill="{colour}" fill-opacity=".18"/>')
    for _, colour, points in lines:
        path = " ".join(at(x, y) for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{at(x, y).split(",")[0]}" cy="{at(x, y).split(",")[1]}" r="3" fill="{colour}"/>'
            for x, y in points
        ]
    parts.append(text((left + width) / 2, height - 12, x_label, anchor="middle"))
    middle = (top + height - bottom) / 2
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    parts += legend([(name, colour) for name, colour, _ in lines])
    return document(width, height, title, parts)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A linear scale from numbers to pixels."""

    low: float
    high: float
    start: float
    length: float
    step: float

    @classmethod
    def over(cls, numbers: Sequence[float], start: float, length: float, *, pad: float = 0.06) -> _Axis:
        finite = [number for number in numbers if math.isfinite(number)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        spread = (high - low) or max(abs(high), 1.0)
        low, high = low - pad * spread, high + pad * spread
        raw = (high - low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
        return cls(low, high, start, length, step)

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * self.length

    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [tick * self.step for tick in range(first, last + 1)]

    def grid(self, top: float, bottom: float, label: str) -> list[str]:
        parts = []
        for tick in self.ticks():
            x = self.at(tick)
            parts.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="{GRID}"/>')
            parts.append(text(x, bottom + 13, number(tick, self.step), anchor="middle"))
        parts.append(text(self.start + self.length / 2, bottom + 30, label, anchor="middle"))
        return parts

    def interval(self, one: Interval, y: float, colour: str) -> list[str]:
        parts = []
        if math.isfinite(one.low) and math.isfinite(one.high):
            ends = f"M{self.at(one.low):.1f} {y:.1f}H{self.at(one.high):.1f}"
            parts.append(f'<path d="{ends}" stroke="{colour}" stroke-width="1.5"/>')
        if math.isfinite(one.value):
            parts.append(f'<circle cx="{self.at(one.value):.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        return parts


def number(value: float, step: float) -> str:
    """Write a tick with as many decimals as its step needs."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value + 0.0:,.{digits}f}" if abs(value) > step / 1e6 else "0"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", size: int = 12
) -> str:
    """Write words centred on a line."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="middle" '
        f'font-weight="{weight}" font-size="{size}">{escape(printable(words))}</text>'
    )


def legend(names: Sequence[tuple[str, str]]) -> list[str]:
    """Names beside their colours, below the title."""
    parts, x = [], 14.0
    for name, colour in names:
        parts.append(f'<circle cx="{x:.1f}" cy="34" r="4" fill="{colour}"/>')
        parts.append(text(x + 8, 34, name))
        x += 24 + 6.6 * len(name)
    return parts


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Wrap parts; the white ground keeps black text readable on dark pages."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" {_FONT}>\n'
        f"<title>{escape(printable(title))}</title>\n"
        '<rect width="100%" height="100%" fill="#fff"/>\n'
        f"{text(12, 14, title, weight='bold')}\n{body}\n</svg>\n"
    )
