"""An evaluation as pictures: errors, reliability, risk and coverage, and the bias map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from whyhere.evaluation._evaluation import Evaluation
from whyhere.evaluation._metrics import THRESHOLDS_KM
from whyhere.geo import cell_centre, cells_of
from whyhere.images import display_name
from whyhere.report import (
    GREY,
    WORLD_WIDTH,
    CellLayer,
    Curve,
    Frame,
    curves,
    map_panel,
    moved,
    panel_height,
    picture,
)

RIGHT_KM = 750.0
"""What counts as right on the map: the country threshold of the field."""

_RESOLUTION = 1  # H3: 842 cells of about 600,000 km2
_LARGEST = 17.0
_FIFTHS = [(step / 5, f"{step / 5:.1f}") for step in range(6)]
_SHARES = [(step / 5, f"{20 * step} %") for step in range(6)]

# Dark to light for colour-blind eyes (a subset of viridis), and blue to red through grey.
_SHARE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_TOO_SELDOM, _TOO_OFTEN = "#2166ac", "#b2182b"


def error_chart(evaluation: Evaluation) -> str:
    """Return the share of photos within each distance, from 1 km on, on a logarithmic axis."""
    error_km = np.array([score.error_km for score in evaluation.scores])

    def within(km: float) -> tuple[float, float]:
        return math.log10(km), float((error_km <= km).mean())

    ticks = [(math.log10(km), f"{km:,.0f}") for km in (*THRESHOLDS_KM, 10_000.0)]
    return curves(
        _title(evaluation, f"share of {evaluation.photos:,} photos within a distance"),
        [
            Curve("", [within(km) for km in np.geomspace(1.0, 20_100.0, 121).tolist()], dots=0.0),
            Curve("", [within(km) for km in THRESHOLDS_KM], dots=4.0, line=False),
        ],
        x_label="great-circle distance to the truth, km",
        y_label="share of photos",
        x_ticks=ticks,
        y_ticks=_SHARES,
    ).svg


def reliability_chart(evaluation: Evaluation) -> str | None:
    """Return stated probability against what happened, or None where no probabilities are stated."""
    found = evaluation.calibration.reliability
    if found is None:
        return None
    largest = max(b.photos for b in found.bins)
    return curves(
        _title(evaluation, f"reliability on {found.photos:,} photos, ECE {found.ece.value:.3f}"),
        [
            Curve("", [(0.0, 0.0), (1.0, 1.0)], GREY, dots=0.0, dashed=True),
            Curve(
                "",
                [(b.probability, b.right) for b in found.bins],
                dots=[3 + 7 * math.sqrt(b.photos / largest) for b in found.bins],
            ),
        ],
        x_label="probability of the first answer",
        y_label="truth within its radius",
        x_ticks=_FIFTHS,
        y_ticks=_SHARES,
    ).svg


def risk_coverage_chart(evaluation: Evaluation) -> str | None:
    """Return the right share among the surest photos, or None where the system never says how sure it is."""
    found = evaluation.calibration.risk_coverage
    if found is None:
        return None
    return curves(
        _title(evaluation, f"answering only the surest of {found.photos:,} photos"),
        [
            Curve("", [(0.0, found.right[0]), (1.0, found.right[0])], GREY, dots=0.0, dashed=True),
            Curve("", list(zip(found.coverage, found.right, strict=True)), dots=3.5),
        ],
        x_label=f"share of photos answered, by {found.order}",
        y_label="truth within the radius",
        x_ticks=_FIFTHS,
        y_ticks=_SHARES,
    ).svg


def _title(evaluation: Evaluation, text: str) -> str:
    return f"{display_name(evaluation.system)}: {text}"


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
