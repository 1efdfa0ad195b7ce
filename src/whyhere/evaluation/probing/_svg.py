"""Plots of a probe report as small SVG files, written by hand: text stays text, and diffs stay readable."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from whyhere.evaluation.probing._features import CONCEPTS, CONTROLS, EMBEDDING
from whyhere.evaluation.probing._report import BAR, PROBES, SPLITS, ProbeReport
from whyhere.stats import Interval

# Okabe and Ito's colours, which most colour-blind readers can tell apart; lines also keep their order.
COLOURS = {
    "coordinates": "#999999",
    "sines": "#56b4e9",
    "harmonics": "#009e73",
    EMBEDDING: "#0072b2",
    f"{EMBEDDING}+{CONCEPTS}": "#cc79a7",
    CONCEPTS: "#d55e00",
    CONTROLS[0]: "#e69f00",
    CONTROLS[1]: "#000000",
}
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'
_LEFT, _PANEL, _GAP, _TOP, _ROW = 110, 290, 30, 56, 8
_LETTER = 7.4  # room for a letter: fonts differ, and none may push a name out of the picture


def plots(report: ProbeReport) -> dict[str, str]:
    """Draw the report.

    Args:
        report: The report.

    Returns:
        SVG text by file name: one figure of scores a probe, and one of what the concept space keeps.
    """
    drawn = {f"scores-{probe}.svg": _scores(report, probe) for probe in dict(report.panels())}
    if report.kept:
        drawn["kept.svg"] = _kept(report)
    return drawn


def _scores(report: ProbeReport, probe: str) -> str:
    """Points with intervals: a panel a split, a band a task, a line a kind of features."""
    splits = [split for name, split in report.panels() if name == probe]
    names, rows = report.grid(probe, splits[0])
    band = _ROW * len(names) + 10
    bottom = _TOP + band * len(rows) + 34
    width = _LEFT + len(splits) * (_PANEL + _GAP)
    lowest = min(0.0, *(s.value.low for s in report.scores if s.probe == probe and s.value.low > -0.5))
    parts, height = _legend(names, bottom, width)
    for column, split in enumerate(splits):
        left = _LEFT + column * (_PANEL + _GAP)
        _, rows = report.grid(probe, split)
        tops = [_TOP + number * band for number in range(len(rows))]
        parts += [_rect(left, top, _PANEL, band, "#f4f4f4") for top in tops[1::2]]
        parts += _axis(left, bottom - 34, lowest, 1.0, SPLITS[split])
        for top, (task, row) in zip(tops, rows.items(), strict=True):
            if column == 0:
                parts.append(_text(_LEFT - 8, top + band / 2, task[:16], anchor="end"))
            for line, name in enumerate(names):
                y = top + 9 + line * _ROW
                parts += _mark(row[name].value, y, left, lowest, 1.0, COLOURS.get(name, "#000"))
    return _document(width, height, f"{PROBES[probe]}: R2 or accuracy", parts)


def _kept(report: ProbeReport) -> str:
    """Shares of the embedding's mean score, a line a probe and split."""
    panels = report.panels()
    names = list(dict.fromkeys(kept.features for kept in report.kept))
    band = 14 * len(names) + 12
    bottom = _TOP + band * len(panels) + 34
    low = min(0.5, *(kept.share.low for kept in report.kept))
    high = max(1.05, *(kept.share.high for kept in report.kept))
    width = _LEFT + 2 * _PANEL + _GAP
    parts, height = _legend(names, bottom, width)
    parts += _axis(_LEFT, bottom - 34, low, high, "share of the embedding's mean score", width=2 * _PANEL)
    x = _LEFT + (BAR - low) / (high - low) * 2 * _PANEL
    parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom - 34}" stroke="#d00" stroke-dasharray="4 3"/>')
    parts.append(_text(x, _TOP - 4, f"{100 * BAR:.0f} %", anchor="middle"))
    for number, (probe, split) in enumerate(panels):
        top = _TOP + number * band
        parts.append(_text(_LEFT - 8, top + band / 2, f"{probe}, {split}", anchor="end"))
        mine = [kept for kept in report.kept if (kept.probe, kept.split) == (probe, split)]
        for line, kept in enumerate(mine):
            y = top + 13 + 14 * line
            parts += _mark(kept.share, y, _LEFT, low, high, COLOURS[kept.features], width=2 * _PANEL)
    return _document(width, height, "What is kept of the embedding", parts)


def _mark(
    interval: Interval, y: float, left: float, low: float, high: float, colour: str, width: float = _PANEL
) -> list[str]:
    """A point with its interval; what lies below the axis is drawn as an arrow at its edge."""

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * width

    line = (
        f'<path d="M{x(interval.low):.1f} {y:.1f}H{x(interval.high):.1f}" stroke="{colour}" '
        'stroke-width="1.5"/>'
    )
    if interval.value < low:
        arrow = f"M{left:.1f} {y:.1f}l6 -3v6z"
        return [f'<path d="{arrow}" fill="{colour}"/>']
    return [line, f'<circle cx="{x(interval.value):.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>']


def _axis(
    left: float, bottom: float, low: float, high: float, title: str, width: float = _PANEL
) -> list[str]:
    """A title above, and a scale with faint lines."""
    parts = [_text(left + width / 2, _TOP - 18, title, anchor="middle", weight="bold")]
    step = 0.2 if high - low > 0.7 else 0.1
    tick = -int(-low // step + 1e-9) * step if low < 0 else -(-low // step) * step
    while tick <= high + 1e-9:
        x = left + (tick - low) / (high - low) * width
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(x, bottom + 14, f"{abs(tick) if abs(tick) < 1e-9 else tick:.1f}", anchor="middle"))
        tick += step
    return parts


def _legend(names: Sequence[str], top: float, width: float) -> tuple[list[str], float]:
    """Names beside their colours, below the axis, in as many lines as they need; also where they end."""
    parts: list[str] = []
    x, y = 12.0, top + 10.0
    for name in names:
        room = 22 + _LETTER * len(name)
        if x > 12 and x + room > width:
            x, y = 12.0, y + 18
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.0f}" r="4" fill="{COLOURS.get(name, "#000")}"/>')
        parts.append(_text(x + 8, y, name))
        x += room
    return parts, y + 14


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="middle" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Wrap parts; the white ground keeps black text readable on dark pages."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" {_FONT}>\n'
        f"<title>{escape(title)}</title>\n{_rect(0, 0, width, height, '#fff')}\n"
        f"{_text(12, 12, title, weight='bold')}\n{body}\n</svg>\n"
    )
