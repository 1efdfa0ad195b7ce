"""Tests that change photos and look again: 3 image regions, 6 stability.

A region that is said to show a concept is blurred out of the photo (deletion), or all but the region is
(insertion), and the concept is read again; random regions of the same area are the control (as in the
deletion and insertion games of Petsiuk et al. 2018, RISE).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace
from PIL import Image

from whyhere.alignment import Alignment, ImageCode
from whyhere.errors import MissingFileError
from whyhere.evaluation.faithfulness._controls import Closed
from whyhere.evaluation.faithfulness._study import (
    Cell,
    Doubles,
    Figure,
    Floats,
    Outcome,
    Progress,
    Settings,
    Study,
    Table,
)
from whyhere.explain import DeletionInsertion, concept_score, deletion_insertion, photo_regions
from whyhere.geo import great_circle_km
from whyhere.stats import nan_mean, spearman

if TYPE_CHECKING:
    from whyhere.locator import Locator

AREAS = (0.2, 0.5)
"""Shares of the view that are covered, or uncovered: the steps of the curves."""

CONCEPTS = 2
"""Concepts of a photo that are looked at: the strongest that speak for the best-scoring place."""

TOP = 10
ANOTHER_FOLD = "head trained on other photos"

_REGIONS = Outcome(
    3,
    "Image regions",
    "Does a concept fall more when its region is blurred than when a random region of equal area is?",
    rule="Passes where deletion and insertion both exceed random regions with the whole 95 % interval above "
    "0; fails where one of the differences is not positive.",
)
_STABILITY = Outcome(
    6,
    "Stability",
    "Do concepts and answer stay the same under crops, small rotations and recompression?",
    rule=f"Passes where changed photos keep more of their {TOP} strongest concepts than two different photos "
    "share, with the whole 95 % interval of the paired difference above 0, and keep at least half of them on "
    "average; fails where they keep no more than different photos share, or fewer than a third.",
)


RegionTest = Callable[[Image.Image, Alignment, Sequence[str], int], Sequence[DeletionInsertion]]
"""From a photo, its alignment, concept ids and a seed to what deleting and inserting their regions does."""


def region_test(locator: Locator) -> RegionTest | None:
    """Return what deletes and inserts image regions, or None where the tower shows no hidden tokens."""
    parts, unit = locator.parts, locator.parts.view_average != "logits"
    try:
        tower = locator.tracing_tower()
    except MissingFileError:
        return None

    def test(
        image: Image.Image, alignment: Alignment, ids: Sequence[str], seed: int
    ) -> list[DeletionInsertion]:
        regions = photo_regions(tower, image, alignment, ids, spec=parts.preprocessing, unit=unit)
        return [
            deletion_insertion(
                parts.tower,
                image,
                region,
                concept_score(alignment, region.concept_id, unit=unit),
                spec=parts.preprocessing,
                areas=AREAS,
                seed=seed,
            )
            for region in regions
        ]

    return test


def regions_test(
    study: Study, settings: Settings, test: RegionTest | None, progress: Progress | None = None
) -> Outcome:
    """Test 3: whether the regions that are said to show a concept carry it more than others of equal area."""
    if test is None or study.embed is None or not study.files:
        reason = "This needs the photos and an image tower of whyhere's own kind, which gives hidden tokens."
        return replace(_REGIONS, reason=reason)
    chosen = study.drawn(settings.region_photos, settings.seed, number=3)
    effects = np.full((2, len(chosen), CONCEPTS), np.nan)  # deletion, insertion
    rows: list[tuple[Cell, ...]] = []
    for row, photo in enumerate(chosen):
        if progress:
            progress(row, len(chosen))
        image = study.open_image(study.files[photo])
        # A concept of which it shows less than usual may speak for a place, but no region can be covered.
        parts = study.contributions_at_best(photo)
        able = np.flatnonzero((parts > 0) & (study.codes[photo].z_img > 0))
        concepts = able[np.argsort(-parts[able], kind="stable")[:CONCEPTS]]
        ids = [study.labels[concept].id for concept in concepts]
        results = test(image, study.alignment(photo), ids, settings.seed * 100_003 + photo) if ids else ()
        for place, (concept, one) in enumerate(zip(concepts, results, strict=True)):
            deleted = one.random_deletion_area - one.deletion_area
            inserted = one.insertion_area - one.random_insertion_area
            effects[:, row, place] = deleted, inserted
            rows.append((study.photos[photo], study.labels[concept].name, float(deleted), float(inserted)))
    if not rows:
        return replace(_REGIONS, reason="No concept speaks for any of the photos.")
    figures, told = [], []
    for name, values in zip(("deletion", "insertion"), effects, strict=True):
        wins = nan_mean(np.where(np.isnan(values), np.nan, values > 0), 1)
        gap = settings.mean(nan_mean(values, 1))
        figures += [
            Figure(f"{name}: concept's region beyond random regions", "", gap),
            Figure(f"{name}: photos where the region beats random", "%", settings.mean(100.0 * wins)),
        ]
        told.append(f"{name} {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}) beyond random regions")
    gaps = figures[0].value, figures[2].value
    sure, positive = min(gap.low for gap in gaps) > 0, min(gap.value for gap in gaps) > 0
    title = "Image regions by photo and concept: effect beyond random regions"
    columns = ("photo", "concept", "deletion", "insertion")
    return replace(
        _REGIONS,
        verdict="passes" if sure else "undecided" if positive else "fails",
        reason=f"{'; '.join(told)}.",
        figures=tuple(figures),
        tables=(Table("regions", title, columns, tuple(rows), in_report=False),),
        notes=(
            f"{len(chosen)} photos drawn with seed {settings.seed}; of each up to {CONCEPTS} concepts that "
            "it shows and that speak for its best-scoring place; "
            f"{' and '.join(f'{100 * area:.0f}' for area in AREAS)} % of the view covered. Effects are "
            "differences of areas under the curves of the photo's agreement with the concept, in the "
            "alignment's own unit (closed form: standard deviations over the training photos). Above 0, the "
            "region carries more of the concept than connected random regions of equal area. One view of a "
            "photo is looked at, not all of them.",
        ),
    )


def _crop(image: Image.Image, share: float, left: float, top: float) -> Image.Image:
    width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
    x, y = round((image.width - width) * left), round((image.height - height) * top)
    return image.crop((x, y, x + width, y + height))


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Turn, and cut to what the turned photo fills on every side: no black corners are looked at."""
    angle = np.radians(abs(degrees))
    width, height = image.size
    shrink = min(
        width / (width * np.cos(angle) + height * np.sin(angle)),
        height / (width * np.sin(angle) + height * np.cos(angle)),
    )
    return _crop(image.rotate(degrees, resample=Image.Resampling.BICUBIC), float(shrink), 0.5, 0.5)


def _recompress(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    stream.seek(0)
    return Image.open(stream).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop to the middle 90 %": lambda image: _crop(image, 0.9, 0.5, 0.5),
    "crop 85 %, top left": lambda image: _crop(image, 0.85, 0.0, 0.0),
    "rotated by 3 degrees": lambda image: _rotate(image, 3.0),
    "rotated by -5 degrees": lambda image: _rotate(image, -5.0),
    "JPEG quality 60": _recompress,
}


def stability_test(study: Study, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Test 6: whether the explanation stays when the photo changes and the place does not."""
    if study.embed is None or not study.files or len(study.photos) < 2:
        return replace(_STABILITY, reason="This needs the photos themselves.")
    chosen = study.drawn(settings.stability_photos, settings.seed, number=6)
    others = np.random.default_rng((settings.seed, 66)).permutation(len(chosen))
    others = np.roll(others, 1)[np.argsort(others)]  # a photo's partner is never itself
    folds = len(study.alignments)
    names = [*CHANGES, *([ANOTHER_FOLD] if folds > 1 else [])]
    kept, ranks, shift = found = np.empty((3, len(chosen), len(names) + 1))
    for row, photo in enumerate(chosen):
        if progress:
            progress(row, len(chosen))
        image, own = study.open_image(study.files[photo]), study.alignment(photo)
        seen = [(own, study.embed(change(image))) for change in CHANGES.values()]
        if folds > 1:
            seen.append((study.alignments[(study.fold_of[photo] + 1) % folds], study.features[photo]))
        seen.append((own, study.features[chosen[others[row]]]))
        for column, (model, features) in enumerate(seen):
            found[:, row, column] = _compare(study, photo, model, model.encode_image(features))
    changed, control = slice(0, len(CHANGES)), "between two different photos"

    def beside(name: str, unit: str, values: Doubles) -> Figure:
        return settings.against(name, unit, nan_mean(values[:, changed], 1), values[:, -1], control)

    near = np.where(shift <= 200.0, 100.0, 0.0)
    figures = (
        beside(f"overlap of the top {TOP} concepts", "%", 100.0 * kept),
        beside("rank correlation of contributions", "rho", ranks),
        Figure(
            "shift of the answer, median",
            "km",
            settings.median(np.median(shift[:, changed], axis=1)),
            settings.median(shift[:, -1]),
            control,
        ),
        Figure(
            "answers that stay within 200 km",
            "%",
            settings.mean(near[:, changed].mean(axis=1)),
            settings.mean(near[:, -1]),
            control,
        ),
    )
    gap, alike, value = figures[0].difference, figures[0].control, figures[0].value.value
    assert gap is not None
    assert alike is not None
    fails = gap.value <= 0 or value < 100.0 / 3
    other_seeds = "Other seeds are not looked at: that takes another training."
    if isinstance(study.release, Closed):
        other_seeds = "Other seeds: a head in closed form has none."
        if folds > 1:
            other_seeds += (
                " Instead the same photo is read by the head of the next fold, which has learned from other "
                "photos (and from this one)."
            )
    return replace(
        _STABILITY,
        verdict="passes" if gap.low > 0 and value >= 50.0 else "fails" if fails else "undecided",
        reason=f"Changed photos keep {value:.0f} % of their top {TOP} concepts, different photos share "
        f"{alike.value:.0f} %: {gap.value:+.0f} points ({gap.low:+.0f} to {gap.high:+.0f}).",
        figures=figures,
        tables=(_changes_table([*names, "another photo (control)"], kept, ranks, shift),),
        notes=(
            f"{len(chosen)} of {len(study.photos)} photos, drawn with seed {settings.seed}. Concepts are "
            f"compared by their contributions to the answer of the unchanged photo: overlap of the {TOP} "
            "largest, and rank correlation over the concepts that contribute to either. The shift is the "
            "distance between the best-scoring places.",
            other_seeds,
        ),
    )


def _compare(study: Study, photo: int, model: Alignment, changed: ImageCode) -> tuple[float, float, float]:
    """Return overlap of the strongest concepts, rank correlation of contributions, and shift in km."""
    gallery, place = study.gallery, study.best[photo]
    before = study.contributions_at_best(photo)
    after = model.contributions(changed, gallery.embeddings[place : place + 1]).concepts[0]
    row = model.scores(changed, gallery.embeddings).argmax()
    km = great_circle_km(gallery.lat[place], gallery.lon[place], gallery.lat[row], gallery.lon[row])
    return overlap(before, after), rank_correlation(before, after), float(km)


def overlap(before: Floats, after: Floats) -> float:
    """Return which part of the `TOP` largest contributions, for or against, is among them after as well."""
    count = min(TOP, int((before != 0).sum()))
    if not count:
        return float("nan")
    strongest, later = (
        set(np.argsort(-np.abs(one), kind="stable")[:count].tolist()) for one in (before, after)
    )
    return len(strongest & {j for j in later if after[j] != 0}) / count


def rank_correlation(before: Floats, after: Floats) -> float:
    """Return Spearman's correlation over concepts that contribute to either; NaN for fewer than three."""
    either = (before != 0) | (after != 0)
    if int(either.sum()) < 3:
        return float("nan")
    if np.ptp(before[either]) == 0 or np.ptp(after[either]) == 0:
        return float("nan")
    return spearman(before[either].astype(np.float64), after[either].astype(np.float64))


def _changes_table(names: Sequence[str], kept: Doubles, ranks: Doubles, shift: Doubles) -> Table:
    near = (shift <= 200.0).mean(axis=0)
    columns = ("change", f"overlap@{TOP}, %", "rank correlation", "median shift km", "within 200 km, %")
    cells = (100.0 * nan_mean(kept, 0), nan_mean(ranks, 0), np.median(shift, axis=0), 100.0 * near)
    rows = zip(names, *(values.tolist() for values in cells), strict=True)
    return Table("changes", "Stability by kind of change", columns, tuple(rows))
