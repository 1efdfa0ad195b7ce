"""Line 4: do the maps of concepts agree with open data about the Earth? No photo is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyhere.evaluation.faithfulness._derange import derangements
from whyhere.evaluation.faithfulness._grounded import (
    MAP_PARTS,
    Regrounded,
    grounded_columns,
    held_out_maps,
    without_maps,
)
from whyhere.evaluation.faithfulness._references import Lookup, shipped_reference
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._study import Doubles, Floats, Settings, Study
from whyhere.stats import Interval, auroc, median_interval

BAR = 0.75
LEAST_CONCEPTS = 15

_TITLE = "Concept maps against open data"
_QUESTION = "Is a concept's map high where open data says that the thing is?"
_RULE = (
    f"Passes where at least {LEAST_CONCEPTS} concepts have an open reference, the median AUROC over them is "
    f"at least {BAR}, and it lies above that of every draw of shuffled names; fails where the median lies "
    f"below {BAR} or within the shuffled ones."
)


@dataclass(frozen=True, slots=True)
class _Reference:
    """One concept with its reference at the places looked at."""

    column: int
    reference: Any
    agreement: Any
    present: Doubles  # 1 for cells that have the thing, 0 for others, NaN where unknown


def maps_line(
    study: Study,
    settings: Settings,
    lookup: Lookup = shipped_reference,
    regrounded: Regrounded | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Line:
    """Measure line 4.

    Args:
        study: The release.
        settings: Seed and draws.
        lookup: Finds open references.
        regrounded: Teaches the release anew, where it has learned from open maps.
        progress: Called with concepts done and concepts in all.
    """
    from whyhere.references import agreement, cell_table

    lat, lon = study.gallery.lat, study.gallery.lon
    shipped = study.release.location_concepts(study.gallery.embeddings)
    maps = shipped if regrounded is None else held_out_maps(study, regrounded)
    cells = cell_table(lat, lon)
    found: list[_Reference] = []
    unused: list[str] = []
    for column, label in enumerate(study.labels):
        if progress:
            progress(column, len(study.labels))
        reference = lookup(label.id)
        if reference is None:
            continue
        scores = maps[:, column].astype(np.float64)
        one = agreement(scores, reference, lat=lat, lon=lon, seed=settings.seed, cells=cells)
        if one is None:
            unused.append(label.name)
        else:
            present = reference.present(cells.average(reference.values(lat, lon)))
            found.append(_Reference(column, reference, one, np.asarray(present)))
    if len(found) < 2:
        reason = (
            f"Only {len(found)} concepts of the release have an open reference that these places can test."
        )
        return Line(4, _TITLE, _QUESTION, "not run", reason, _RULE)
    by_cell = np.array([cells.average(maps[:, one.column].astype(np.float64)) for one in found])
    matrix = np.array([[_auroc(scores, one.present) for one in found] for scores in by_cell])
    orders = derangements(len(found), settings.draws, seed=settings.seed)
    shuffled = np.array([np.median(matrix[order, np.arange(len(found))]) for order in orders])
    aurocs = np.array([one.agreement.auroc for one in found])
    figures = _figures(found, matrix, orders, shuffled, settings)
    if regrounded is not None:
        alone = without_maps(study.release).location_concepts(study.gallery.embeddings)
        for name, others in (
            ("of maps that photos alone teach", alone),
            ("of the shipped maps, where they were taught", shipped),
        ):
            aurocs_there = [
                _auroc(cells.average(others[:, one.column].astype(np.float64)), one.present) for one in found
            ]
            value = median_interval(np.array(aurocs_there), seed=settings.seed, resamples=settings.resamples)
            figures = (*figures, Figure(f"median AUROC {name}", "AUROC", value))
    if (exhibit := _forest(study, maps, settings)) is not None:
        figures = (*figures, exhibit)
    verdict, reason = _verdict(aurocs, shuffled)
    notes = [
        f"{len(lat):,} places of the gallery, averaged over H3 cells of about 110 km; intervals by "
        "resampling blocks of about 10 degrees. The gallery lies where photos are taken: deserts, ice and "
        "open sea are thin in it.",
        '"direct" references measure the thing itself; a "proxy" only says where to expect it.',
    ]
    if regrounded is not None:
        count = len(grounded_columns(study.release))
        notes.insert(
            0,
            f"{count} concepts of the release have learned from these very references. What is tested is "
            f"therefore not the shipped maps: the blocks were dealt out into {MAP_PARTS} parts, and the map "
            "of each part comes from the release taught on the other parts. A country that lies in several "
            "blocks still tells about itself: for references that are sets of countries the figure is too "
            "good.",
        )
    if unused:
        notes.append(f"Too few places with, or without, the concept: {', '.join(unused)}.")
    below = [study.labels[one.column].name for one in found if one.agreement.auroc < BAR]
    notes.append(f"AUROC below {BAR}: {', '.join(below) or 'none'}.")
    table = _table(study, found, matrix)
    return Line(4, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (table,), tuple(notes))


def _forest(study: Study, maps: Floats, settings: Settings) -> Figure | None:
    """Return the paper's own exhibit (Fig. 5), forest by state of the USA, where that can be done."""
    from whyhere.references import forest_by_state

    columns = [column for column, label in enumerate(study.labels) if label.id == "forest"]
    if not columns:
        return None
    try:
        found = forest_by_state(
            maps[:, columns[0]], lat=study.gallery.lat, lon=study.gallery.lon, seed=settings.seed
        )
    except ValueError:  # too few places in the United States
        return None
    value = Interval(found.pearson, found.pearson_low, found.pearson_high)
    return Figure(f"forest over {len(found.states)} states of the USA, Pearson (paper: .65)", "rho", value)


def _auroc(scores: Doubles, present: Doubles) -> float:
    """Return the chance that a cell with the thing scores above one without; NaN without both."""
    known = ~np.isnan(present) & ~np.isnan(scores)
    found = auroc(scores[known], present[known] >= 0.5)
    return float("nan") if found is None else found


def _figures(
    found: list[_Reference], matrix: Doubles, orders: list[Any], shuffled: Doubles, settings: Settings
) -> tuple[Figure, ...]:
    options = {"seed": settings.seed, "resamples": settings.resamples}
    aurocs = np.array([one.agreement.auroc for one in found])
    spearmans = np.array([one.agreement.spearman for one in found])
    columns = np.arange(len(found))
    others = np.nanmean([matrix[order, columns] for order in orders], axis=0)
    spread = Interval(float(shuffled.mean()), float(shuffled.min()), float(shuffled.max()))
    name = f"names shuffled, mean and range of {len(shuffled)} draws"
    gap = median_interval(aurocs - others, **options)
    good = float((aurocs >= BAR).mean() * 100)
    figures = [
        Figure("median AUROC over concepts", "AUROC", median_interval(aurocs, **options), spread, name, gap),
        Figure("median Spearman over concepts", "rho", median_interval(spearmans, **options)),
        Figure(f"concepts with an AUROC of at least {BAR}", "%", Interval(good, float("nan"), float("nan"))),
    ]
    direct = np.array([one.agreement.directness == "direct" for one in found])
    for kind, chosen in (("direct", direct), ("proxy", ~direct)):
        if chosen.any():
            median = median_interval(aurocs[chosen], **options)
            figures.append(
                Figure(f"median AUROC, {int(chosen.sum())} with a {kind} reference", "AUROC", median)
            )
    return tuple(figures)


def _table(study: Study, found: list[_Reference], matrix: Doubles) -> Table:
    columns = (
        "concept", "reference", "directness", "AUROC", "low", "high", "other concepts, median", "rho",
        "rho low", "rho high", "cells",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for place in np.argsort([-one.agreement.auroc for one in found], kind="stable").tolist():
        one, agreed = found[place], found[place].agreement
        others = float(np.nanmedian(np.delete(matrix[:, place], place)))
        rows.append(
            (
                study.labels[one.column].name,
                one.reference.name,
                agreed.directness,
                agreed.auroc,
                agreed.auroc_low,
                agreed.auroc_high,
                others,
                agreed.spearman,
                agreed.spearman_low,
                agreed.spearman_high,
                agreed.cells,
            )
        )
    return Table("concepts", "Concept maps against open references", columns, tuple(rows))


def _verdict(aurocs: Doubles, shuffled: Doubles) -> tuple[Verdict, str]:
    median = float(np.median(aurocs))
    reason = (
        f"Median AUROC {median:.3f} over {len(aurocs)} concepts with an open reference; with shuffled names "
        f"{shuffled.mean():.3f} ({shuffled.min():.3f} to {shuffled.max():.3f} over {len(shuffled)} draws)."
    )
    if median < BAR or median <= shuffled.max():
        return "fails", reason
    return ("passes" if len(aurocs) >= LEAST_CONCEPTS else "undecided"), reason
