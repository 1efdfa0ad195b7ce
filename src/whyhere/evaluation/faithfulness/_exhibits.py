"""The paper's Table 3 (concepts by error band) and the concepts of every photo."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from whyhere.evaluation.faithfulness._accuracy_line import best_of_scores, errors_of
from whyhere.evaluation.faithfulness._scorecard import Cell, Table
from whyhere.evaluation.faithfulness._study import Doubles, Settings, Study, active
from whyhere.stats import bootstrap_interval

BANDS_KM = (0.0, 25.0, 200.0, 750.0, 2500.0, float("inf"))
"""The paper's bands end at 750 km; errors beyond are where an explanation matters most."""

KEPT = 20
ENDS = 8
LEAST_PHOTOS = 3


def exhibits(study: Study, settings: Settings) -> tuple[Table, ...]:
    """Return Table 3 of arXiv 2509.01910 and the top 20 concepts of every photo.

    The paper's procedure: keep the 20 largest activations of each photo, group photos by error, take the
    median of each concept over the photos of a band in which it survives, and show the 8 highest and lowest.
    Added
    here: bands beyond 750 km, how many photos a median rests on (at least 3), and its interval. Activations
    are divided by their length, so that photos compare.
    """
    if not study.photos:
        return ()
    errors = errors_of(study, [best_of_scores(study, photo) for photo in range(len(study.photos))])
    activations = np.full((len(study.photos), len(study.labels)), np.nan)
    for photo, code in enumerate(study.codes):
        strongest = active(np.maximum(code.z_img, 0), KEPT)
        length = float(np.linalg.norm(code.z_img)) or 1.0
        activations[photo, strongest] = code.z_img[strongest] / length
    return (_bands(study, errors, activations, settings), _photos(study, errors, activations))


def _bands(study: Study, errors: Doubles, activations: Doubles, settings: Settings) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for low, high in pairwise(BANDS_KM):
        members = (errors >= low) & (errors < high)
        there = (~np.isnan(activations[members])).sum(axis=0)
        able = np.flatnonzero(there >= LEAST_PHOTOS)
        medians = {int(j): float(np.nanmedian(activations[members, j])) for j in able}
        ordered = sorted(medians, key=lambda j: (-medians[j], j))
        ends = [("highest", j) for j in ordered[:ENDS]]
        ends += [("lowest", j) for j in ordered[max(ENDS, len(ordered) - ENDS) :]]
        for end, concept in ends:
            values = activations[members, concept]
            spread = bootstrap_interval(
                values[~np.isnan(values)],
                lambda v: np.median(v, axis=-1),
                resamples=settings.resamples,
                seed=settings.seed,
            )
            rows.append(
                (
                    band_name(low, high),
                    int(members.sum()),
                    end,
                    study.labels[concept].name,
                    spread.value,
                    spread.low,
                    spread.high,
                    int(there[concept]),
                )
            )
    columns = ("error", "photos", "end", "concept", "median activation", "low", "high", "photos with it")
    return Table("error-bands", "Concepts by error band (the paper's Table 3)", columns, tuple(rows))


def band_name(low: float, high: float) -> str:
    """Return a band in words."""
    return f"{low:,.0f} to {high:,.0f} km" if np.isfinite(high) else f"over {low:,.0f} km"


def _photos(study: Study, errors: Doubles, activations: Doubles) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for photo, name in enumerate(study.photos):
        values = np.nan_to_num(activations[photo])
        strongest = [j for j in np.argsort(-values, kind="stable")[:KEPT].tolist() if values[j] > 0]
        listed = "; ".join(f"{study.labels[j].name} {values[j]:.3f}" for j in strongest)
        rows.append((name, float(errors[photo]), listed))
    columns = ("photo", "error km", f"top {KEPT} concepts")
    return Table("photos", "The strongest concepts of every photo", columns, tuple(rows), in_report=False)
