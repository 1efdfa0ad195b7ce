"""Line 2: does taking a concept away move the answer away from where open data says the concept is common?

The coefficient of a concept is set to zero (or doubled), the photo is ranked again, and the mean of the
concept's open reference under the predicted distribution is read before and after. A decision that uses the
concept for what it is called moves away from where it is common (or towards it). Controls: taking the same
amount from another concept that the photo shows about as much; and reading the effect off the reference of
another name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.faithfulness._derange import derangements
from whyhere.evaluation.faithfulness._effects import CONTROLS, Effects, measure, measure_held_out
from whyhere.evaluation.faithfulness._grounded import Regrounded
from whyhere.evaluation.faithfulness._references import CellReferences
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._study import Doubles, Settings, Study
from whyhere.stats import Interval, counts_interval, mean_interval

_TITLE = "Intervention"
_QUESTION = "Does removing or boosting a concept move the answer where open data says it should?"
_RULE = (
    "Passes where the effect of removing a concept exceeds that of taking the same amount from another "
    "concept of the photo with the whole 95 % interval of the mean over concepts above 0, and for more than "
    "half of the concepts; fails where the difference is not positive, or half of the concepts or more do no "
    "better than the control."
)


def intervention_line(
    study: Study,
    settings: Settings,
    references: CellReferences,
    regrounded: Regrounded | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Line:
    """Measure line 2.

    Args:
        study: Photos and alignments.
        settings: Seed and draws.
        references: Open references at the cells.
        regrounded: Teaches alignments anew, where they have learned from open maps.
        progress: Called with photos done and photos in all.
    """
    if len(references.columns) < 2:
        reason = f"Only {len(references.columns)} concepts of the release have an open reference."
        return Line(2, _TITLE, _QUESTION, "not run", reason, _RULE)
    if regrounded is None:
        effects = measure(study, settings, references, progress)
    else:
        effects = measure_held_out(study, settings, references, regrounded, progress)
    names = [study.labels[column].name for column in references.columns]
    support = (~np.isnan(effects.removed)).sum(axis=0)
    enough = np.flatnonzero(support >= settings.support)
    if not len(enough):
        reason = f"No concept with a reference is active in {settings.support} photos or more."
        return Line(2, _TITLE, _QUESTION, "not run", reason, _RULE)
    table, better, clear = _table(effects, enough, names, references.names, settings)
    figures = _figures(effects, enough, len(better), sum(better), sum(clear), settings)
    gap = figures[0].difference
    assert gap is not None
    verdict, reason = _verdict(gap, sum(better), len(better))
    failing = [names[c] for c, good in zip(enough, better, strict=True) if not good]
    unclear = [names[c] for c, good, sure in zip(enough, better, clear, strict=True) if good and not sure]
    notes = [
        "Effects are changes of the mean of the reference under the predicted distribution. Continuous "
        "references are scaled to their rank among the cells of the gallery, 0 to 1, so an effect of 0.01 is "
        "one percentile; yes-or-no references are shares.",
        f"No larger than the control: {', '.join(failing) or 'none'}.",
        f"Larger, but the interval reaches 0: {', '.join(unclear) or 'none'}.",
        f"{len(support) - len(enough)} of {len(support)} concepts with a reference are active in fewer than "
        f"{settings.support} photos and have no row.",
    ]
    if regrounded is not None:
        notes.insert(
            0,
            "Concepts of the release have learned from these very references. So the Earth was cut into two "
            "halves of dealt-out blocks: each effect is read in one half, with alignments taught on the "
            "other, and the two are averaged. Neighbouring blocks are alike and countries lie in several, so "
            "the effects are still too good.",
        )
    return Line(2, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (table,), tuple(notes))


def _table(
    effects: Effects,
    enough: NDArray[np.intp],
    names: Sequence[str],
    references: Sequence[str],
    settings: Settings,
) -> tuple[Table, list[bool], list[bool]]:
    """Return a row a concept, and whether it beats the control at all and clearly."""
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    better, clear = [], []
    for column in enough:
        there = ~np.isnan(effects.removed[:, column])
        gap = effects.removed[there, column] - effects.removed_control[there, column]
        interval = mean_interval(gap, seed=settings.seed, resamples=settings.resamples)
        better.append(interval.value > 0)
        clear.append(interval.low > 0)
        boosted = effects.boosted[there, column] - effects.boosted_control[there, column]
        row: tuple[Cell, ...] = (
            names[column],
            references[column],
            int(there.sum()),
            int(effects.shown[:, column].sum()),
            float(effects.removed[there, column].mean()),
            float(effects.removed_control[there, column].mean()),
            interval.value,
            interval.low,
            interval.high,
            float(boosted.mean()),
        )
        rows.append((interval.value, row))
    columns = (
        "concept", "reference", "photos", "shown in", "effect of removing", "control", "difference", "low",
        "high", "boosting: difference",
    )  # fmt: skip
    ordered = tuple(row for _, row in sorted(rows, key=lambda item: -item[0]))
    return Table("concepts", "Intervention by concept", columns, ordered), better, clear


def _figures(
    effects: Effects,
    enough: NDArray[np.intp],
    concepts: int,
    better: int,
    clear: int,
    settings: Settings,
) -> tuple[Figure, ...]:
    control = f"the same amount from up to {CONTROLS} other concepts of the photo"

    def mean(values: Doubles) -> Interval:
        there = ~np.isnan(values)
        total = np.where(there, values, 0.0)
        return counts_interval(
            len(values),
            lambda times: mean_of_means(total, there.astype(np.float64), times),
            seed=settings.seed,
            resamples=settings.resamples,
        )

    figures = []
    for name, effect, other in (
        ("removing a concept", effects.removed, effects.removed_control),
        ("boosting a concept", effects.boosted, effects.boosted_control),
    ):
        mine, his = effect[:, enough], other[:, enough]
        figures.append(Figure(name, "", mean(mine), mean(his), control, mean(mine - his)))
    # Each draw reads every concept's effect off the reference of another concept.
    orders = derangements(effects.removed.shape[1], settings.draws, seed=settings.seed)
    shuffled = np.mean([effects.others[:, enough, order[enough]] for order in orders], axis=0)
    mine = effects.removed[:, enough]
    figures.append(
        Figure(
            "removing a concept, by its own name",
            "",
            mean(mine),
            mean(shuffled),
            f"names shuffled, mean of {len(orders)} draws",
            mean(mine - shuffled),
        )
    )
    for name, count in (
        ("concepts with a larger effect than the control", better),
        ("concepts whose interval lies above it", clear),
    ):
        figures.append(Figure(name, "%", Interval(100.0 * count / concepts, float("nan"), float("nan"))))
    return tuple(figures)


def _verdict(gap: Interval, better: int, concepts: int) -> tuple[Verdict, str]:
    beyond = f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
    reason = (
        f"Removing a concept moves the answer {beyond} further from where it is common than the control; "
        f"{better} of {concepts} concepts do better than the control."
    )
    if gap.value <= 0 or 2 * better <= concepts:
        return "fails", reason
    return ("passes" if gap.low > 0 else "undecided"), reason


def mean_of_means(total: Doubles, count: Doubles, times: Doubles) -> Doubles:
    """Return the mean over columns of each column's mean over photos.

    Args:
        total: Sum of what a photo adds to a column, shape (n, c).
        count: How many values that sum has, shape (n, c).
        times: How often each photo counts, shape (r, n).

    Returns:
        Shape (r,); columns that a set of photos leaves empty are left out of its mean.
    """
    below = times @ count
    means = np.where(below > 0, (times @ total) / np.maximum(below, 1), 0.0)
    columns = (below > 0).sum(axis=1)
    figures: Doubles = np.where(columns > 0, means.sum(axis=1) / np.maximum(columns, 1), np.nan)
    return figures
