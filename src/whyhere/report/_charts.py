"""Charts of plain series: curves, dots with intervals, clouds of points, bars around a zero line.

They know numbers, names and colours, and nothing of what was measured. What is not finite is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from whyhere.picture import Picture
from whyhere.report._canvas import INK, SOFT, Dot, Item, Label, Shape, line, picture, rectangle

BLUE, GREY, RED = "#0b62a4", "#888888", "#dd0000"
# Okabe and Ito's colours, which most colour-blind readers can tell apart.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_GRID, _STRIPE = "#dddddd", "#f4f4f4"
_LETTER = 7.4  # room for a letter of 12 units: fonts differ, and none may push a name out of the picture

Estimate: TypeAlias = tuple[float, float, float]
"""A value and the two ends of its interval."""
Point: TypeAlias = tuple[float, float]
Tick: TypeAlias = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: What it is, for the legend; empty for none.
        points: x and y.
        colour: Its colour.
        dots: Radius of the dots on it, one for all or one for each point; 0 for none.
        line: Whether the dots are joined.
        dashed: Whether the line is dashed.
        band: Low and high end at each point, shaded; empty for none.
    """

    name: str
    points: Sequence[Point]
    colour: str = BLUE
    dots: float | Sequence[float] = 3.0
    line: bool = True
    dashed: bool = False
    band: Sequence[Point] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: What it is.
        value: Its length; negative to the left.
        strong: Whether it stands out: a sum, and not one of its parts.
    """

    name: str
    value: float
    strong: bool = False


def curves(
    title: str,
    lines: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[Tick] = (),
    y_ticks: Sequence[Tick] = (),
) -> Picture:
    """Draw curves, with bands around them.

    Args:
        title: Title.
        lines: The curves, the first at the bottom.
        x_label: Below the axis.
        y_label: Beside it.
        x_ticks: Positions and their texts; the axis then goes at least from the first to the last.
        y_ticks: The same for the other axis.
    """
    width, height, top, bottom = 560.0, 360.0, 48.0, 312.0
    xs = [x for curve in lines for x, _ in curve.points]
    ys = [
        y
        for curve in lines
        for y in (*(y for _, y in curve.points), *(y for ends in curve.band for y in ends))
    ]
    up = _Axis.over(ys, bottom, top, y_ticks)
    left = max(66.0, 34 + _LETTER * max(len(text) for _, text in up.ticks()))
    across = _Axis.over(xs, left, width - 20, x_ticks, pad=0.03)
    overhang = _LETTER / 2 * max(len(text) for _, text in across.ticks())
    across = replace(across, end=width - max(20.0, overhang))
    items: list[Item] = []
    for y, text in up.ticks():
        items += [line((left, y), (across.end, y), colour=_GRID), _text(left - 6, y, text, "end")]
    for x, text in across.ticks():
        items += [line((x, top), (x, bottom), colour=_GRID), _text(x, bottom + 14, text, "middle")]
    for curve in lines:
        if curve.band:
            low = [(across.at(x), up.at(y)) for (x, _), (y, _) in zip(curve.points, curve.band, strict=True)]
            high = [(across.at(x), up.at(y)) for (x, _), (_, y) in zip(curve.points, curve.band, strict=True)]
            items.append(Shape([np.array([*low, *reversed(high)])], fill=curve.colour, opacity=0.18))
    for curve in lines:
        radii = [curve.dots] * len(curve.points) if isinstance(curve.dots, float | int) else curve.dots
        known = [
            (across.at(x), up.at(y), radius)
            for (x, y), radius in zip(curve.points, radii, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        if curve.line:
            points = [(x, y) for x, y, _ in known]
            items.append(line(*points, colour=curve.colour, width=2.0, dashed=curve.dashed))
        items += [Dot(x, y, radius, curve.colour, 0.8) for x, y, radius in known if radius > 0]
    items += [_text((left + across.end) / 2, height - 14, x_label, "middle")]
    items += [Label(18.0, (top + bottom) / 2, y_label, 12.0, "middle", upwards=True)]
    items += _legend([(curve.name, curve.colour) for curve in lines if curve.name], 34.0, width)[0]
    return _chart(title, items, width, height)


def intervals(
    title: str,
    rows: Sequence[tuple[str, Sequence[Sequence[Estimate | None]]]],
    *,
    series: Sequence[tuple[str, str]],
    panels: Sequence[str],
    mark: float | None = None,
    mark_text: str = "",
    low: float | None = None,
    high: float | None = None,
    panel_width: float = 360.0,
) -> Picture:
    """Draw values with their intervals: a band a row, in it a line a series, side by side a panel each.

    Args:
        title: Title.
        rows: The name of each row, and for each panel a value of each series, None where there is none.
        series: The name and the colour of each series.
        panels: What the axis of each panel shows.
        mark: Where a dashed line goes: 0, or the bar to pass.
        mark_text: What stands above that line.
        low: Where the axis begins; what lies below is drawn as an arrow at its edge.
        high: Where the axis ends.
        panel_width: Width of a panel.
    """
    known = [one for _, cells in rows for panel in cells for one in panel if one is not None]
    span = [float(v) for one in known for v in one] + ([mark] if mark is not None else [])
    ends = tuple((end, "") for end in (low, high) if end is not None)
    span = [v for v in span if (low is None or v >= low) and (high is None or v <= high)]
    left, top, band = (
        20 + _LETTER * max((len(name) for name, _ in rows), default=0),
        56.0,
        10 + 8.0 * len(series),
    )
    bottom = top + band * len(rows)
    items: list[Item] = []
    for panel, panel_title in enumerate(panels):
        start = left + panel * (panel_width + 30)
        axis = _Axis.over(
            [*span, *(end for end, _ in ends)], start, start + panel_width, pad=0.0 if ends else 0.06
        )
        items += [
            rectangle(start, top + band * row, panel_width, band, _STRIPE) for row in range(1, len(rows), 2)
        ]
        for x, text in axis.ticks():
            items += [line((x, top), (x, bottom), colour=_GRID), _text(x, bottom + 13, text, "middle")]
        items.append(_text(start + panel_width / 2, bottom + 30, panel_title, "middle"))
        if mark is not None:
            x = axis.at(mark)
            items.append(line((x, top), (x, bottom), colour=RED, dashed=True))
            items += [_text(x, top - 8, mark_text, "middle")] if mark_text else []
        for row, (_, cells) in enumerate(rows):
            for place, (one, (_, colour)) in enumerate(zip(cells[panel], series, strict=True)):
                if one is not None:
                    items += _interval(axis, one, top + band * row + 9 + 8 * place, colour)
    items += [_text(left - 8, top + band * (row + 0.5), name, "end") for row, (name, _) in enumerate(rows)]
    width = max(left + len(panels) * (panel_width + 30), 24 + _LETTER * len(title))
    legend, height = _legend(series if len(series) > 1 else (), bottom + 50, width)
    return _chart(title, [*items, *legend], width, height)


def scatter(
    title: str,
    groups: Sequence[tuple[str, str, Sequence[Point]]],
    *,
    names: Sequence[tuple[Point, str]] = (),
    links: Iterable[tuple[Point, Point]] = (),
) -> Picture:
    """Draw clouds of points on one plane with the same scale on both axes.

    Args:
        title: Title.
        groups: Name, colour and points of each cloud; a cloud without a name is not in the legend.
        names: Points to name.
        links: Pairs of points to join by a faint line.
    """
    width, height, margin = 560.0, 592.0, 24.0
    everything = np.array([point for _, _, points in groups for point in points], np.float64).reshape(-1, 2)
    low = everything.min(axis=0) if len(everything) else np.zeros(2)
    reach = max(float((everything - low).max(initial=0.0)), 1e-12)
    legend, top = _legend([(name, colour) for name, colour, _ in groups if name], 34.0, width)

    def at(point: Point) -> Point:
        share = (np.asarray(point) - low) / reach * (width - 2 * margin)
        return margin + float(share[0]), top + width - 2 * margin - float(share[1])

    items = [*legend, *(line(at(a), at(b), colour="#e0e0e0") for a, b in links)]
    items += [Dot(*at(point), 3.2, colour, 0.75) for _, colour, points in groups for point in points]
    for point, name in names:
        x, y = at(point)
        left = x < 0.8 * width
        items.append(Label(x + (5 if left else -5), y + 3, name, 9.0, "start" if left else "end"))
    return _chart(title, items, width, max(height, top + width - margin))


def bars(title: str, rows: Sequence[Bar], *, notes: Sequence[str], foot: str = "") -> Picture:
    """Draw bars around one zero line, all on one scale.

    Args:
        title: Title.
        rows: The bars, from top to bottom.
        notes: Two lines below the title: how to read it, and where it comes from.
        foot: A line at the bottom; empty for none.
    """
    width, names, values, step, top = 760.0, 230.0, 70.0, 18.0, 74.0
    lowest, highest = min(0.0, *(row.value for row in rows)), max(0.0, *(row.value for row in rows))
    span = (highest - lowest) or 1.0
    room = width - names - values - 24
    zero = names + 12 + room * -lowest / span
    bottom = top + step * len(rows) + 14
    how, source = notes
    items: list[Item] = [
        Label(12, 24, title, 15, colour="#1b2226", bold=True),
        Label(12, 42, how, 12, colour=SOFT),
        Label(12, 58, source, 11, colour=SOFT),
        line((zero, top - 6), (zero, bottom - 8), colour="#999999"),
    ]
    for place, row in enumerate(rows):
        y = top + step * place
        length = max(abs(row.value) / span * room, 0.5)
        full, part = ("#116f60", "#88b7af") if row.value >= 0 else ("#a84815", "#d4a48a")  # half as strong
        ink = "#1b2226" if row.strong else SOFT
        start = zero if row.value >= 0 else zero - length
        items += [
            Label(names, y + 12, row.name[:38], 12, "end", ink, row.strong),
            rectangle(start, y + 3, length, 11, full if row.strong else part),
            Label(width - 8, y + 12, f"{row.value:+.4f}", 12, "end", ink, row.strong),
        ]
    if foot:
        items.append(Label(12, bottom + 6, foot, 11, colour=SOFT))
    words = f"{title}: {len(rows)} bars. {how} {source}."
    return picture(items, width=width, height=bottom + (18 if foot else 0), title=title, words=words)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A linear scale from numbers to canvas units."""

    low: float
    high: float
    start: float
    end: float
    named: Sequence[Tick]

    @classmethod
    def over(
        cls,
        numbers: Sequence[float],
        start: float,
        end: float,
        named: Sequence[Tick] = (),
        *,
        pad: float = 0.06,
    ) -> _Axis:
        finite = [n for n in numbers if math.isfinite(n)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if named:
            return cls(min(low, named[0][0]), max(high, named[-1][0]), start, end, named)
        spread = (high - low) or max(abs(high), 1.0)
        return cls(low - pad * spread, high + pad * spread, start, end, ())

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return where ticks go on the canvas, and what they say: as many decimals as their step needs."""
        if self.named:
            return [(self.at(value), text) for value, text in self.named]
        raw = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        form = f",.{digits}f" if digits <= 6 else ".3g"
        return [(self.at(n * step), f"{n * step:{form}}" if n else "0") for n in range(first, last + 1)]


def _interval(axis: _Axis, one: Estimate, y: float, colour: str) -> list[Item]:
    value, low, high = one
    if math.isfinite(value) and value < axis.low:
        arrow = np.array([(axis.start, y), (axis.start + 6, y - 3), (axis.start + 6, y + 3)])
        return [Shape([arrow], fill=colour)]
    items: list[Item] = []
    if math.isfinite(low) and math.isfinite(high):
        items.append(line((axis.at(low), y), (axis.at(high), y), colour=colour, width=1.5))
    return [*items, *([Dot(axis.at(value), y, 3.0, colour)] if math.isfinite(value) else [])]


def _text(x: float, y: float, text: str, anchor: str = "start") -> Label:
    """Return words of a chart, centred on a line."""
    return Label(x, y + 4, text, 12.0, anchor)


def _legend(names: Sequence[tuple[str, str]], y: float, width: float) -> tuple[list[Item], float]:
    """Return names beside their colours, in as many lines as they need, and where what follows may begin."""
    items: list[Item] = []
    x = 14.0
    for name, colour in names:
        room = 24 + _LETTER * len(name)
        if x > 14 and x + room > width:
            x, y = 14.0, y + 18
        items += [Dot(x, y, 4.0, colour), _text(x + 8, y, name)]
        x += room
    return items, y + (14 if names else -4)


def _chart(title: str, items: Sequence[Item], width: float, height: float) -> Picture:
    heading = Label(12.0, 18.0, title, 13.0, colour=INK, bold=True)
    return picture([heading, *items], width=width, height=height, title=title, sized=True)
