"""Interventions for line 2: concepts are removed or doubled, photos are ranked again, references are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.faithfulness._grounded import HALVES, Regrounded
from whyhere.evaluation.faithfulness._references import CellReferences
from whyhere.evaluation.faithfulness._scoring import CodeScorer, concept_table, probabilities
from whyhere.evaluation.faithfulness._study import Doubles, Floats, Settings, Study, active
from whyhere.stats import nan_mean

CONTROLS = 3
"""Other concepts of about equal strength that the same amount is taken from, one after the other."""

SHOWN = 5
"""A concept is shown for a photo where it is among so many largest contributions to the best place."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects by photo and concept with a reference, shape (n, c); NaN where the concept is not active.

    A concept with a negative coefficient, of which the photo shows less than usual, pulls away from where it
    is common: falls and rises change their signs.

    Attributes:
        removed: Fall of the reference's mean when the concept is removed.
        boosted: Rise of it when the concept is doubled.
        removed_control: The fall of the same reference when others lose the same amount, mean over them.
        boosted_control: The rise of it when others gain the same amount.
        others: Fall of every reference when the concept is removed, shape (n, c, c).
        shown: Whether the photo's report would show the concept.
    """

    removed: Doubles
    boosted: Doubles
    removed_control: Doubles
    boosted_control: Doubles
    others: Doubles
    shown: NDArray[np.bool_]


def measure(
    study: Study,
    settings: Settings,
    references: CellReferences,
    progress: Callable[[int, int], None] | None,
) -> Effects:
    """Intervene in every photo, one concept with a reference at a time."""
    n, c = len(study.photos), len(references.columns)
    place = {column: row for row, column in enumerate(references.columns)}
    blank = [np.full((n, c), np.nan) for _ in range(4)]
    found = Effects(
        removed=blank[0],
        boosted=blank[1],
        removed_control=blank[2],
        boosted_control=blank[3],
        others=np.full((n, c, c), np.nan),
        shown=np.zeros((n, c), np.bool_),
    )
    done = 0
    for fold, alignment in enumerate(study.alignments):
        table = concept_table(alignment, study.gallery.embeddings)
        scorer = CodeScorer(alignment, study.gallery.embeddings, table)
        for photo in study.members(fold):
            if progress:
                progress(done, n)
            done += 1
            _one(study, int(photo), settings, references, place, scorer, found)
    return found


def _one(
    study: Study,
    photo: int,
    settings: Settings,
    references: CellReferences,
    place: dict[int, int],
    scorer: CodeScorer,
    found: Effects,
) -> None:
    """Intervene in one photo and note the effects."""
    code = study.codes[photo]
    strong = active(code.z_img, len(code.z_img))
    mine = [int(concept) for concept in strong if int(concept) in place]
    if not mine or len(strong) < 2:
        return
    rng = np.random.default_rng((settings.seed, photo, 2))
    changed: list[Floats] = [code.z_img]
    plan: list[tuple[int, int, int]] = []  # concept, first row of its changes, how many controls
    for concept in mine:
        amount = code.z_img[concept]
        others = _alike(strong, code.z_img, concept, rng)
        plan.append((concept, len(changed), len(others)))
        changed += [_shift(code.z_img, concept, -amount), _shift(code.z_img, concept, amount)]
        for other in others:
            changed += [_shift(code.z_img, other, -amount), _shift(code.z_img, other, amount)]
    scores = scorer.scores(code, np.array(changed, np.float32))
    means = references.means(probabilities(scores, study.cells, study.ranking(photo)))
    parts = study.alignment(photo).contributions(code, study.gallery.embeddings[[int(scores[0].argmax())]])
    shown = set(np.argsort(-np.abs(parts.concepts[0]), kind="stable")[:SHOWN].tolist())
    for concept, row, count in plan:
        column, sign = place[concept], float(np.sign(code.z_img[concept]))
        falls = sign * (means[0] - means[row])
        found.others[photo, column] = falls
        found.removed[photo, column] = falls[column]
        found.boosted[photo, column] = sign * (means[row + 1, column] - means[0, column])
        found.shown[photo, column] = concept in shown
        controls = means[row + 2 : row + 2 + 2 * count, column]
        found.removed_control[photo, column] = float((sign * (means[0, column] - controls[::2])).mean())
        found.boosted_control[photo, column] = float((sign * (controls[1::2] - means[0, column])).mean())


def _alike(strong: NDArray[np.intp], z: Floats, concept: int, rng: np.random.Generator) -> list[int]:
    """Draw other active concepts of about the same coefficient."""
    others = strong[strong != concept]
    nearest = others[np.argsort(np.abs(np.abs(z[others]) - np.abs(z[concept])), kind="stable")]
    pool = nearest[: 2 * CONTROLS]
    return [int(one) for one in rng.permutation(pool)[:CONTROLS]]


def _shift(z: Floats, concept: int, amount: Any) -> Floats:  # noqa: ANN401 - a number of NumPy
    changed = z.copy()
    changed[concept] += amount
    return changed


def measure_held_out(
    study: Study,
    settings: Settings,
    references: CellReferences,
    regrounded: Regrounded,
    progress: Callable[[int, int], None] | None,
) -> Effects:
    """Return effects read only where the alignment's maps were not taught, averaged over two halves."""
    part = regrounded.parts(HALVES)
    found = []
    for half in range(HALVES):
        held = part == half
        taught = tuple(regrounded.without(alignment, held) for alignment in study.alignments)
        values = np.where(regrounded.cells(held), references.values, np.nan)
        half_study = replace(study, alignments=taught)
        found.append(measure(half_study, settings, replace(references, values=values), progress))
    means = {
        name: nan_mean(np.stack([getattr(one, name) for one in found]), 0)
        for name in ("removed", "boosted", "removed_control", "boosted_control", "others")
    }
    return Effects(**means, shown=np.any([one.shown for one in found], axis=0))
