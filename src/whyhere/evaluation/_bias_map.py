"""The bias map: where on Earth a system is right, and where it answers too often or too seldom."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np

from whyhere.evaluation._evaluation import Evaluation
from whyhere.images import display_name

RIGHT_KM = 750.0
"""What counts as right on the map: the country threshold of the field."""

_RESOLUTION = 1  # H3: 842 cells of about 600,000 km2
_LARGEST = 17.0
_TITLE = 34.0

# Dark to light for colour-blind eyes (a subset of viridis), and blue to red through grey.
_SHARE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_TOO_SELDOM, _TOO_OFTEN = "#2166ac", "#b2182b"


def bias_map(evaluation: Evaluation) -> str:
    """Draw two world maps (Equal Earth) as one self-contained SVG.

    Above: a circle for each H3 cell with photos, its area the number of photos, its colour the share of them
    answered within 750 km. Below: the difference between first answers in a cell and photos taken there, red
    where the system answers the cell too often, blue where too seldom, area the size of the difference.

    Args:
        evaluation: What to draw.
    """
    from whyhere.report._world import HEIGHT, WIDTH

    scores = evaluation.scores
    truths = _cells([score.lat for score in scores], [score.lon for score in scores])
    answered = [score for score in scores if score.answer_lat is not None]
    answers = _cells(
        [score.answer_lat or 0.0 for score in answered], [score.answer_lon or 0.0 for score in answered]
    )
    photos, guesses = Counter(truths), Counter(answers)
    right = Counter(cell for cell, score in zip(truths, scores, strict=True) if score.error_km <= RIGHT_KM)
    shares = {cell: right[cell] / count for cell, count in photos.items()}
    above = _circles(
        {cell: float(count) for cell, count in photos.items()},
        {cell: _SHARE[min(4, int(5 * share))] for cell, share in shares.items()},
        {cell: f"{photos[cell]} photos, {100 * share:.0f} % within 750 km" for cell, share in shares.items()},
    )
    gaps = {
        cell: guesses[cell] - photos[cell] for cell in {*photos, *guesses} if guesses[cell] != photos[cell]
    }
    below = _circles(
        {cell: float(abs(gap)) for cell, gap in gaps.items()},
        {cell: _TOO_OFTEN if gap > 0 else _TOO_SELDOM for cell, gap in gaps.items()},
        {cell: f"{guesses[cell]} answers, {photos[cell]} photos" for cell in gaps},
    )
    panel = HEIGHT + _TITLE + 26
    name = escape(display_name(evaluation.system))
    legends = (
        [(color, f"{20 * step} to {20 * step + 20} %") for step, color in enumerate(_SHARE)],
        [(_TOO_OFTEN, "answered too often"), (_TOO_SELDOM, "answered too seldom")],
    )
    titles = (
        f"{name}: share of {evaluation.photos:,} photos answered within 750 km, by where they were taken",
        f"{name}: first answers less photos, by place ({len(answered):,} answers)",
    )
    panels = "".join(
        f'<g transform="translate(0 {row * panel:.0f})">'
        f'<text x="10" y="22" font-size="15">{title}</text>'
        f'<g transform="translate(0 {_TITLE:.0f})">{_world()}{circles}</g>'
        f"{_legend(legend, HEIGHT + _TITLE + 12)}</g>\n"
        for row, (title, circles, legend) in enumerate(zip(titles, (above, below), legends, strict=True))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {2 * panel:.0f}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#222">\n<title>{name}: bias map</title>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{panels}</svg>\n'
    )


def _cells(lat: Sequence[float], lon: Sequence[float]) -> list[int]:
    from whyhere.geo import cells_of

    return [int(cell) for cell in cells_of(lat, lon, resolution=_RESOLUTION)] if len(lat) else []


def _circles(sizes: dict[int, float], colors: dict[int, str], words: dict[int, str]) -> str:
    """Draw a circle at the centre of each cell, the largest first so that none hides a smaller one."""
    from whyhere.geo import cell_centre
    from whyhere.report._world import to_world_map

    if not sizes:
        return ""
    largest = max(sizes.values())
    cells = sorted(sizes, key=lambda cell: (-sizes[cell], cell))
    centres = [cell_centre(cell) for cell in cells]
    places = to_world_map(np.array([c.lat for c in centres]), np.array([c.lon for c in centres]))
    return "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{max(2.0, _LARGEST * math.sqrt(sizes[cell] / largest)):.1f}" '
        f'fill="{colors[cell]}" fill-opacity=".8" stroke="#fff" stroke-width=".7">'
        f"<title>{words[cell]}</title></circle>\n"
        for cell, (x, y) in zip(cells, places.tolist(), strict=True)
    )


def _world() -> str:
    from whyhere.report._land import world_borders, world_land
    from whyhere.report._world import globe_outline

    return (
        f'<g transform="scale(.1)"><path d="{globe_outline()}" fill="#eef3f7" '
        'stroke="#b8c4cc" stroke-width="10"/>'
        f'<path d="{world_land()}" fill="#dcd9d2" fill-rule="evenodd"/>'
        f'<path d="{world_borders()}" fill="none" stroke="#fff" stroke-width="5"/></g>\n'
    )


def _legend(entries: Sequence[tuple[str, str]], y: float) -> str:
    return "".join(
        f'<circle cx="{20 + 160 * column}" cy="{y:.0f}" r="6" fill="{color}"/>'
        f'<text x="{31 + 160 * column}" y="{y + 4:.0f}">{text}</text>'
        for column, (color, text) in enumerate(entries)
    )
