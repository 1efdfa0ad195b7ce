"""Line 3: do the image regions that are said to show a concept carry it, more than others of equal area?

The region is blurred out of the photo (deletion), or all but the region is (insertion), and the concept is
read again; random regions of the same area are the control (as in the deletion and insertion games of Petsiuk
et al. 2018, RISE).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from whyhere.alignment import Alignment
from whyhere.evaluation.faithfulness._accuracy_line import best_of_scores
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._study import Doubles, Settings, Study
from whyhere.stats import mean_interval, nan_mean

AREAS = (0.2, 0.5)
"""Shares of the view that are covered, or uncovered: the steps of the curves."""

CONCEPTS = 2
"""Concepts of a photo that are looked at: the strongest that speak for the best-scoring place."""

_TITLE = "Image regions"
_QUESTION = "Does a concept fall more when its region is blurred than when a random region of equal area is?"
_RULE = (
    "Passes where deletion and insertion both exceed random regions with the whole 95 % interval above 0; "
    "fails where one of the differences is not positive."
)


class RegionResult(Protocol):
    """What one region test found: areas under curves over the share covered; `whyhere.explain` gives it."""

    @property
    def deletion_area(self) -> float:
        """Under the curve of the concept as its region is covered; smaller is better."""
        ...

    @property
    def random_deletion_area(self) -> float:
        """The same for random regions, mean over them."""
        ...

    @property
    def insertion_area(self) -> float:
        """Under the curve of the concept as its region alone is uncovered; larger is better."""
        ...

    @property
    def random_insertion_area(self) -> float:
        """The same for random regions, mean over them."""
        ...


RegionTest = Callable[[Image.Image, Alignment, Sequence[str], int], Sequence[RegionResult]]
"""From a photo, its alignment, concept ids and a seed to what deleting and inserting their regions does."""


def regions_line(
    study: Study,
    settings: Settings,
    test: RegionTest | None,
    progress: Callable[[int, int], None] | None = None,
) -> Line:
    """Measure line 3."""
    if test is None or study.look is None or not study.files:
        reason = "This needs the photos and an image tower of whyhere's own kind, which gives hidden tokens."
        return Line(3, _TITLE, _QUESTION, "not run", reason, _RULE)
    chosen = chosen_photos(len(study.photos), settings.region_photos, settings.seed, line=3)
    deleted, inserted = np.full((len(chosen), CONCEPTS), np.nan), np.full((len(chosen), CONCEPTS), np.nan)
    rows: list[tuple[Cell, ...]] = []
    for row, photo in enumerate(chosen):
        if progress:
            progress(row, len(chosen))
        image = study.look.image(study.files[photo])
        concepts = _supporting(study, photo)
        ids = [study.labels[concept].id for concept in concepts]
        results = test(image, study.alignment(photo), ids, settings.seed * 100_003 + photo) if ids else ()
        for place, (concept, result) in enumerate(zip(concepts, results, strict=True)):
            deleted[row, place] = result.random_deletion_area - result.deletion_area
            inserted[row, place] = result.insertion_area - result.random_insertion_area
            name = study.labels[concept].name
            rows.append((study.photos[photo], name, float(deleted[row, place]), float(inserted[row, place])))
    if not rows:
        return Line(3, _TITLE, _QUESTION, "not run", "No concept speaks for any of the photos.", _RULE)
    figures = tuple(
        figure
        for name, values in (("deletion", deleted), ("insertion", inserted))
        for figure in _figures(name, values, settings)
    )
    verdict, reason = _verdict(figures[0], figures[2])
    table = Table(
        "regions",
        "Image regions by photo and concept: effect beyond random regions",
        ("photo", "concept", "deletion", "insertion"),
        tuple(rows),
        in_report=False,
    )
    notes = (
        f"{len(chosen)} photos drawn with seed {settings.seed}; of each up to {CONCEPTS} concepts that it "
        "shows and that speak for its best-scoring place; "
        f"{' and '.join(f'{100 * area:.0f}' for area in AREAS)} % of the view covered. Effects are "
        "differences of areas under the curves of the photo's agreement with the concept, in the alignment's "
        "own unit (closed form: standard deviations over the training photos). Above 0, the region carries "
        "more of the concept than connected random regions of equal area. One view of a photo is looked at, "
        "not all of them.",
    )
    return Line(3, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (table,), notes)


def chosen_photos(count: int, wanted: int, seed: int, *, line: int) -> list[int]:
    """Draw photos for a line that cannot look at all, in their order."""
    order = np.random.default_rng((seed, line)).permutation(count)[:wanted]
    return sorted(int(photo) for photo in order)


def _supporting(study: Study, photo: int) -> list[int]:
    """Return the concepts that the photo shows and that speak most for the best-scoring place.

    One of which it shows less than usual may speak for a place as well, but no region of it can be covered.
    """
    row = best_of_scores(study, photo)
    code = study.codes[photo]
    parts = study.alignment(photo).contributions(code, study.gallery.embeddings[row : row + 1]).concepts[0]
    able = np.flatnonzero((parts > 0) & (code.z_img > 0))
    return [int(concept) for concept in able[np.argsort(-parts[able], kind="stable")[:CONCEPTS]]]


def _figures(name: str, values: Doubles, settings: Settings) -> tuple[Figure, Figure]:
    there = ~np.isnan(values).all(axis=1)
    by_photo = nan_mean(values[there], 1)
    wins = nan_mean(np.where(np.isnan(values[there]), np.nan, values[there] > 0), 1)
    options = {"seed": settings.seed, "resamples": settings.resamples}
    gap = mean_interval(by_photo, **options)
    return (
        Figure(f"{name}: concept's region beyond random regions", "", gap),
        Figure(f"{name}: photos where the region beats random", "%", mean_interval(100.0 * wins, **options)),
    )


def _verdict(deletion: Figure, insertion: Figure) -> tuple[Verdict, str]:
    reason = "; ".join(
        f"{name} {one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f}) beyond random regions"
        for name, one in (("deletion", deletion.value), ("insertion", insertion.value))
    )
    lows, values = (
        (deletion.value.low, insertion.value.low),
        (deletion.value.value, insertion.value.value),
    )
    if min(lows) > 0:
        return "passes", f"{reason}."
    return ("undecided" if min(values) > 0 else "fails"), f"{reason}."
