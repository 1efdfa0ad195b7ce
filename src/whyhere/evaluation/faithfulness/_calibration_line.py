"""Line 7: are the probabilities worth what they say, and does abstaining help?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whyhere.evaluation import Reliability, RiskCoverage, reliability, risk_coverage
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._scoring import probabilities
from whyhere.evaluation.faithfulness._study import Doubles, Settings, Study
from whyhere.geo import cells_of, great_circle_km, unit_vectors
from whyhere.ranking import rank_places
from whyhere.stats import Interval, mean_interval, median_interval

MASSES = (0.5, 0.9)
_TITLE = "Calibration"
_QUESTION = "Do probabilities, regions and abstaining hold what they claim?"
_RULE = (
    "Passes where the 50 % and 90 % regions hold the truth at least as often as they claim, or less often by "
    "no more than their 95 % interval allows, and the claimed probability of first answers lies within the "
    "interval of how often they are right or below it; fails where a region or a first answer claims clearly "
    "more."
)


def calibration_line(
    study: Study, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> Line:
    """Measure line 7."""
    n = len(study.photos)
    claimed, right = np.empty(n), np.empty(n, np.bool_)
    held, area = np.empty((n, len(MASSES))), np.empty((n, len(MASSES)))
    blind_held, near = np.empty((n, len(MASSES))), np.empty((n, len(MASSES)))
    truth, nearest = _cells_of_truth(study), _nearest_cells(study)
    order = np.random.default_rng((settings.seed, 7)).permutation(n)
    swapped = (
        np.roll(order, 1)[np.argsort(order)] if n > 1 else order
    )  # another photo's regions, never its own
    masks: list[list[np.ndarray[tuple[int], np.dtype[np.bool_]]]] = []
    for photo in range(n):
        if progress:
            progress(photo, n)
        ranking, gallery = study.ranking(photo), study.gallery
        scores = study.alignment(photo).scores(study.codes[photo], gallery.embeddings)
        mass = probabilities(scores, study.cells, ranking)[0]
        best = rank_places(mass, scores, study.cells, top=1, radius_km=ranking.radius_km)[0]
        km = great_circle_km(
            study.lat[photo], study.lon[photo], gallery.lat[best.point], gallery.lon[best.point]
        )
        claimed[photo], right[photo] = best.probability, bool(km <= best.radius_km)
        regions = [region(mass, study.cells.area_km2, share) for share in MASSES]
        masks.append(regions)
        held[photo] = [truth[photo] >= 0 and mask[truth[photo]] for mask in regions]
        near[photo] = [mask[nearest[photo]] for mask in regions]
        area[photo] = [study.cells.area_km2[mask].sum() for mask in regions]
    for photo in range(n):
        other = masks[swapped[photo]]
        blind_held[photo] = [truth[photo] >= 0 and mask[truth[photo]] for mask in other]
    found = reliability(claimed, right, seed=settings.seed)
    curve = risk_coverage(claimed, right, order="probability")
    figures = _figures(found, held, area, blind_held, near, claimed, right, curve, settings)
    verdict, reason = _verdict(found, figures)
    notes = (
        "Right means that the truth lies within the radius printed beside the first answer.",
        "A region is the smallest set of cells that holds the mass. The cells of the gallery cover "
        f"{study.cells.area_km2.sum() / 1e6:.0f} million km2 together, and {int((truth < 0).sum())} of {n} "
        "photos lie outside all of them: no region can hold these, which counts against the release. The "
        "figures for the nearest cell leave this out. The control for regions is the region of another "
        "photo.",
        "The interval of the calibration error is biased upwards on few photos.",
    )
    return Line(7, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (_bins(found), _risk(curve)), notes)


def region(mass: Doubles, area_km2: Doubles, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the smallest set of cells that holds a share of the probability, as a mask over the cells."""
    order = np.argsort(-mass / area_km2, kind="stable")
    last = int(np.searchsorted(np.cumsum(mass[order]), share * mass.sum() * (1 - 1e-12)))
    inside = np.zeros(len(mass), np.bool_)
    inside[order[: last + 1]] = True
    return inside


def _cells_of_truth(study: Study) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the occupied cell that each photo lies in, or -1."""
    found = np.full(len(study.photos), -1, np.intp)
    for resolution in {ranking.cell_resolution for ranking in study.rankings}:
        cells = cells_of(study.lat, study.lon, resolution)
        rows = np.searchsorted(study.cells.cells, cells)
        rows = np.minimum(rows, len(study.cells.cells) - 1)
        there = study.cells.cells[rows] == cells
        found[there] = rows[there]
    return found


def _nearest_cells(study: Study) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the occupied cell whose centre is nearest to each photo."""
    here = unit_vectors(study.lat, study.lon)
    return np.array((here @ study.cells.centres().T).argmax(axis=1), np.intp)


def _figures(
    found: Reliability,
    held: Doubles,
    area: Doubles,
    blind: Doubles,
    near: Doubles,
    claimed: Doubles,
    right: np.ndarray[tuple[int], np.dtype[np.bool_]],
    curve: RiskCoverage,
    settings: Settings,
) -> tuple[Figure, ...]:
    options = {"seed": settings.seed, "resamples": settings.resamples}
    figures = [
        Figure("first answer: truth within its radius", "%", _percent(found.right)),
        Figure("first answer: claimed probability", "%", _percent(found.probability)),
        Figure("expected calibration error", "", found.ece),
        Figure(
            "Brier score", "", found.brier, _constant_brier(right, settings), "the mean rate for every photo"
        ),
    ]
    for column, mass in enumerate(MASSES):
        name = f"{100 * mass:.0f} % region"
        figures.append(
            Figure(
                f"{name}: holds the truth",
                "%",
                mean_interval(100.0 * held[:, column], **options),
                mean_interval(100.0 * blind[:, column], **options),
                "region of another photo",
                mean_interval(100.0 * (held[:, column] - blind[:, column]), **options),
            )
        )
        nearby = mean_interval(100.0 * near[:, column], **options)
        figures.append(Figure(f"{name}: holds the cell nearest to the truth", "%", nearby))
        million = median_interval(area[:, column] / 1e6, **options)
        figures.append(Figure(f"{name}: area, median", "million km2", million))
    surest = np.argsort(-claimed, kind="stable")[: max(1, len(claimed) // 4)]
    mine = mean_interval(100.0 * right[surest].astype(np.float64), **options)
    everyone = mean_interval(100.0 * right.astype(np.float64), **options)
    figures.append(Figure("right among the surest quarter", "%", mine, everyone, "all photos"))
    return tuple(figures)


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.value, 100 * interval.low, 100 * interval.high)


def _constant_brier(right: np.ndarray[tuple[int], np.dtype[np.bool_]], settings: Settings) -> Interval:
    rate = float(right.mean())
    squared: Doubles = (right.astype(np.float64) - rate) ** 2
    return mean_interval(squared, seed=settings.seed, resamples=settings.resamples)


def _bins(found: Reliability) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"{b.low:.1f} to {b.high:.1f}", b.photos, 100 * b.probability, 100 * b.right) for b in found.bins
    ]
    columns = ("claimed", "photos", "mean claim, %", "right, %")
    return Table("reliability", "Reliability of first answers", columns, tuple(rows))


def _risk(curve: RiskCoverage) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (100 * coverage, 100 * right) for coverage, right in zip(curve.coverage, curve.right, strict=True)
    ]
    return Table("risk", "Answering only the surest photos", ("answered, %", "right, %"), tuple(rows))


def _verdict(found: Reliability, figures: tuple[Figure, ...]) -> tuple[Verdict, str]:
    said, broken = [], False
    for mass in MASSES:
        name = f"{100 * mass:.0f} % region"
        value = next(figure.value for figure in figures if figure.name == f"{name}: holds the truth")
        said.append(
            f"the {name} holds the truth in {value.value:.0f} % ({value.low:.0f} to {value.high:.0f})"
        )
        broken |= value.high < 100 * mass
    broken |= found.probability.value > found.right.high
    said.append(
        f"first answers claim {100 * found.probability.value:.1f} % and are right in "
        f"{100 * found.right.value:.1f} % ({100 * found.right.low:.1f} to {100 * found.right.high:.1f})"
    )
    reason = f"{', '.join(said)}."
    return ("fails" if broken else "passes"), reason[0].upper() + reason[1:]
