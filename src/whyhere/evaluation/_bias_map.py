"""The bias map: where on Earth a system is right, and where it answers too often or too seldom."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from whyhere.evaluation._evaluation import Evaluation
from whyhere.geo import cell_centre, cells_of
from whyhere.images import display_name
from whyhere.report import WORLD_WIDTH, CellLayer, Frame, map_panel, moved, panel_height, picture

RIGHT_KM = 750.0
"""What counts as right on the map: the country threshold of the field."""

_RESOLUTION = 1  # H3: 842 cells of about 600,000 km2
_LARGEST = 17.0

# Dark to light for colour-blind eyes (a subset of viridis), and blue to red through grey.
_SHARE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_TOO_SELDOM, _TOO_OFTEN = "#2166ac", "#b2182b"


def bias_map(evaluation: Evaluation) -> str:
    """Draw two world maps (Equal Earth) as one self-contained SVG.

    Above: a disc for each H3 cell with photos, its area the number of photos, its colour the share of them
    answered within 750 km. Below: the difference between first answers in a cell and photos taken there, red
    where the system answers the cell too often, blue where too seldom, area the size of the difference.

    Args:
        evaluation: What to draw.
    """
    scores = evaluation.scores
    truths = _cells([(score.lat, score.lon) for score in scores])
    answers = _cells(
        [
            (s.answer_lat, s.answer_lon)
            for s in scores
            if s.answer_lat is not None and s.answer_lon is not None
        ]
    )
    photos, guesses = Counter(truths), Counter(answers)
    right = Counter(cell for cell, score in zip(truths, scores, strict=True) if score.error_km <= RIGHT_KM)
    shares = {cell: right[cell] / count for cell, count in photos.items()}
    above = {
        cell: (
            count,
            _SHARE[min(4, int(5 * shares[cell]))],
            f"{count} photos, {100 * shares[cell]:.0f} % within 750 km",
        )
        for cell, count in photos.items()
    }
    below = {
        cell: (
            abs(guesses[cell] - photos[cell]),
            _TOO_OFTEN if guesses[cell] > photos[cell] else _TOO_SELDOM,
            f"{guesses[cell]} answers, {photos[cell]} photos",
        )
        for cell in {*photos, *guesses}
        if guesses[cell] != photos[cell]
    }
    name, world = display_name(evaluation.system), Frame()
    upper = map_panel(
        CellLayer(),
        world,
        caption=f"{name}: share of {evaluation.photos:,} photos answered within 750 km, by where taken",
        legend=[(color, f"{20 * step} to {20 * step + 20} %") for step, color in enumerate(_SHARE)],
        discs=_discs(above),
    )
    lower = map_panel(
        CellLayer(),
        world,
        caption=f"{name}: first answers less photos, by place ({len(answers):,} answers)",
        legend=[(_TOO_OFTEN, "answered too often"), (_TOO_SELDOM, "answered too seldom")],
        discs=_discs(below),
    )
    items = [*upper, *moved(lower, 0.0, panel_height())]
    return picture(items, width=WORLD_WIDTH, height=2 * panel_height(), title=f"{name}: bias map").svg


def _cells(positions: list[tuple[float, float]]) -> list[int]:
    lats, lons = [lat for lat, _ in positions], [lon for _, lon in positions]
    return [int(cell) for cell in cells_of(lats, lons, resolution=_RESOLUTION)]


def _discs(found: Mapping[int, tuple[int, str, str]]) -> list[tuple[float, float, float, str, str]]:
    """Return a disc at the centre of each cell, the largest first so that none hides a smaller one."""
    largest = max((size for size, _, _ in found.values()), default=1)
    discs = []
    for cell, (size, color, words) in sorted(found.items(), key=lambda item: (-item[1][0], item[0])):
        centre = cell_centre(cell)
        discs.append((centre.lat, centre.lon, max(2.0, _LARGEST * math.sqrt(size / largest)), color, words))
    return discs
