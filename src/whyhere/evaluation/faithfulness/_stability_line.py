"""Line 6: does the explanation stay when the photo changes in ways that change nothing about the place?"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.alignment import Alignment, ImageCode
from whyhere.evaluation.faithfulness._accuracy_line import best_of_scores
from whyhere.evaluation.faithfulness._regions_line import chosen_photos
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._study import Doubles, Floats, Settings, Study
from whyhere.geo import great_circle_km
from whyhere.stats import Interval, mean_interval, mean_ranks, median_interval, nan_mean

TOP = 10
_TITLE = "Stability"
_QUESTION = "Do concepts and answer stay the same under crops, small rotations and recompression?"
_RULE = (
    f"Passes where changed photos keep more of their {TOP} strongest concepts than two different photos "
    "share, with the whole 95 % interval of the paired difference above 0, and keep at least half of them on "
    "average; fails where they keep no more than different photos share, or fewer than a third."
)


def _crop(share: float, left: float, top: float) -> Callable[[Image.Image], Image.Image]:
    def cut(image: Image.Image) -> Image.Image:
        width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
        x, y = round((image.width - width) * left), round((image.height - height) * top)
        return image.crop((x, y, x + width, y + height))

    return cut


def _rotate(degrees: float) -> Callable[[Image.Image], Image.Image]:
    def turn(image: Image.Image) -> Image.Image:
        # Cut to what the turned photo fills on every side, so that no black corners are looked at.
        angle = np.radians(abs(degrees))
        width, height = image.size
        shrink = min(
            width / (width * np.cos(angle) + height * np.sin(angle)),
            height / (width * np.sin(angle) + height * np.cos(angle)),
        )
        turned = image.rotate(degrees, resample=Image.Resampling.BICUBIC)
        return _crop(float(shrink), 0.5, 0.5)(turned)

    return turn


def _recompress(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    stream.seek(0)
    return Image.open(stream).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop to the middle 90 %": _crop(0.9, 0.5, 0.5),
    "crop 85 %, top left": _crop(0.85, 0.0, 0.0),
    "rotated by 3 degrees": _rotate(3.0),
    "rotated by -5 degrees": _rotate(-5.0),
    "JPEG quality 60": _recompress,
}
ANOTHER_FOLD = "head trained on other photos"


def stability_line(
    study: Study, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> Line:
    """Measure line 6."""
    if study.look is None or not study.files or len(study.photos) < 2:
        return Line(6, _TITLE, _QUESTION, "not run", "This needs the photos themselves.", _RULE)
    chosen = chosen_photos(len(study.photos), settings.stability_photos, settings.seed, line=6)
    others = np.random.default_rng((settings.seed, 66)).permutation(len(chosen))
    others = np.roll(others, 1)[np.argsort(others)]  # a photo's partner is never itself
    names = list(CHANGES) + ([ANOTHER_FOLD] if len(study.alignments) > 1 else [])
    kept, ranks, shift = (np.empty((len(chosen), len(names) + 1)) for _ in range(3))
    for row, photo in enumerate(chosen):
        if progress:
            progress(row, len(chosen))
        image = study.look.image(study.files[photo])
        alignment = study.alignment(photo)
        codes = [
            (
                alignment,
                alignment.encode_image(study.look.features(change(image), f"{study.photos[photo]}|{name}")),
            )
            for name, change in CHANGES.items()
        ]
        if len(study.alignments) > 1:
            other = study.alignments[(study.fold_of[photo] + 1) % len(study.alignments)]
            codes.append((other, other.encode_image(study.features[photo])))
        partner = chosen[others[row]]
        codes.append((alignment, alignment.encode_image(study.features[partner])))
        for column, (model, code) in enumerate(codes):
            kept[row, column], ranks[row, column], shift[row, column] = _compare(study, photo, model, code)
    figures = _figures(names, kept, ranks, shift, settings)
    table = _table([*names, "another photo (control)"], kept, ranks, shift)
    verdict, reason = _verdict(figures[0])
    notes = [
        f"{len(chosen)} of {len(study.photos)} photos, drawn with seed {settings.seed}. Concepts are "
        f"compared by their contributions to the answer of the unchanged photo: overlap of the {TOP} "
        "largest, and rank correlation over the concepts that contribute to either. The shift is the "
        "distance between the best-scoring places.",
        "Other seeds: a head in closed form has none."
        + (
            " Instead the same photo is read by the head of the next fold, which has learned from other "
            "photos (and from this one)."
            if len(study.alignments) > 1
            else ""
        )
        if _closed_form(study.release)
        else "Other seeds are not looked at: that takes another training.",
    ]
    return Line(6, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (table,), tuple(notes))


def _closed_form(alignment: Alignment) -> bool:
    from whyhere.alignment import LinearAlignment, PhotoCodeAlignment

    return isinstance(alignment, (LinearAlignment, PhotoCodeAlignment))


def _compare(study: Study, photo: int, model: Alignment, changed: ImageCode) -> tuple[float, float, float]:
    """Return overlap of the strongest concepts, rank correlation of contributions, and shift in km."""
    place = best_of_scores(study, photo)
    here = study.gallery.embeddings[place : place + 1]
    before = study.alignment(photo).contributions(study.codes[photo], here).concepts[0]
    after = model.contributions(changed, here).concepts[0]
    row = int(model.scores(changed, study.gallery.embeddings).argmax())
    gallery = study.gallery
    km = great_circle_km(gallery.lat[place], gallery.lon[place], gallery.lat[row], gallery.lon[row])
    return overlap(before, after), rank_correlation(before, after), float(km)


def overlap(before: Floats, after: Floats, *, top: int = TOP) -> float:
    """Return which part of the `top` largest contributions, for or against, is among them after as well."""
    count = min(top, int((before != 0).sum()))
    if not count:
        return float("nan")
    strongest = set(np.argsort(-np.abs(before), kind="stable")[:count].tolist())
    later = np.argsort(-np.abs(after), kind="stable")[:count]
    return len(strongest & {int(j) for j in later if after[j] != 0}) / count


def rank_correlation(before: Floats, after: Floats) -> float:
    """Return Spearman's correlation over concepts that contribute to either; NaN for fewer than three."""
    either: NDArray[np.bool_] = (before != 0) | (after != 0)
    if int(either.sum()) < 3:
        return float("nan")
    first, second = (
        mean_ranks(before[either].astype(np.float64)),
        mean_ranks(after[either].astype(np.float64)),
    )
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _figures(
    names: list[str], kept: Doubles, ranks: Doubles, shift: Doubles, settings: Settings
) -> tuple[Figure, ...]:
    options = {"seed": settings.seed, "resamples": settings.resamples}
    changed = slice(0, len(CHANGES))
    control = "between two different photos"

    def both(name: str, unit: str, values: Doubles, factor: float = 1.0) -> Figure:
        mine, his = factor * nan_mean(values[:, changed], 1), factor * values[:, len(names)]
        return Figure(
            name,
            unit,
            mean_interval(mine, **options),
            mean_interval(his, **options),
            control,
            mean_interval(mine - his, **options),
        )

    overlap_figure = both(f"overlap of the top {TOP} concepts", "%", kept, 100.0)
    rank_figure = both("rank correlation of contributions", "rho", ranks)
    moved = np.median(shift[:, changed], axis=1)
    near: Doubles = np.where(shift <= 200.0, 100.0, 0.0)
    same: Interval = mean_interval(near[:, changed].mean(axis=1), **options)
    alike = mean_interval(near[:, len(names)], **options)
    return (
        overlap_figure,
        rank_figure,
        Figure(
            "shift of the answer, median",
            "km",
            median_interval(moved, **options),
            median_interval(shift[:, len(names)], **options),
            control,
        ),
        Figure("answers that stay within 200 km", "%", same, alike, control),
    )


def _table(names: list[str], kept: Doubles, ranks: Doubles, shift: Doubles) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            100.0 * float(nan_mean(kept, 0)[column]),
            float(nan_mean(ranks, 0)[column]),
            float(np.median(shift[:, column])),
            100.0 * float((shift[:, column] <= 200.0).mean()),
        )
        for column, name in enumerate(names)
    ]
    columns = ("change", f"overlap@{TOP}, %", "rank correlation", "median shift km", "within 200 km, %")
    return Table("changes", "Stability by kind of change", columns, tuple(rows))


def _verdict(figure: Figure) -> tuple[Verdict, str]:
    gap, control = figure.difference, figure.control
    assert gap is not None
    assert control is not None
    value = figure.value.value
    reason = (
        f"Changed photos keep {value:.0f} % of their top {TOP} concepts, different photos share "
        f"{control.value:.0f} %: {gap.value:+.0f} points ({gap.low:+.0f} to {gap.high:+.0f})."
    )
    if gap.low > 0 and value >= 50.0:
        return "passes", reason
    return ("fails" if gap.value <= 0 or value < 100.0 / 3 else "undecided"), reason
