"""Line 1: how well the named concepts alone locate, and whether any other bank would do as well.

The curve over the number of concepts is that of the number of effective concepts (Srivastava et al. 2024,
VLG-CBM): accuracy that rests on a few named concepts can be read, accuracy that rests on hundreds cannot. A
random bank of nearly as many concepts as the features have dimensions rebuilds the features whatever it is
called; only small numbers of concepts tell a bank from a random one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment, ImageCode
from whyhere.evaluation import geoscore
from whyhere.evaluation.faithfulness._banks import NeedsTraining, random_alignments
from whyhere.evaluation.faithfulness._grounded import dealt_maps
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._scoring import best_by_concepts
from whyhere.evaluation.faithfulness._study import Doubles, Floats, Settings, Study
from whyhere.geo import great_circle_km
from whyhere.stats import Interval, mean_interval, median_interval

STEPS = (1, 5, 10, 20)
"""Numbers of concepts that are kept; "all" comes on top."""

DISTANCES_KM = (200.0, 750.0, 2500.0)
DECIDING = 10
FARTHEST_KM = 20_015.0
"""Half a great circle: the error of a photo in which no concept is active, so that it has no answer."""

_ALL = len(STEPS)
_TITLE = "Accuracy from concepts alone"
_QUESTION = "Do the named concepts locate photos without the remainder, and better than random directions?"
_RULE = (
    f"Passes where the {DECIDING} strongest concepts of each photo earn a higher mean GeoScore than the "
    f"{DECIDING} strongest of random banks with the whole 95 % interval of the paired difference above 0; "
    "fails where the interval lies below 0 or the difference itself is not positive."
)


def accuracy_line(
    study: Study, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> Line:
    """Measure line 1."""
    n = len(study.photos)
    score_km = errors_of(study, [best_of_scores(study, photo) for photo in range(n)])
    own, counts = np.empty((_ALL + 1, n)), np.empty(n)
    random, dealt = _Banks(settings.draws, n), _Banks(settings.draws, n)
    notes: list[str] = []
    for fold, alignment in enumerate(study.alignments):
        if progress:
            progress(fold, len(study.alignments))
        members = study.members(fold)
        banks: tuple[Alignment, ...] = ()
        try:
            banks = random_alignments(study, fold, draws=settings.draws, seed=settings.seed)
        except NeedsTraining as error:
            notes = [f"No random banks: {error}"]
        others = dealt_maps(alignment, settings.draws, seed=settings.seed)
        curves = _curves(study, members, (alignment, *banks, *others))
        own[:, members], counts[members] = curves[0]
        random.note(members, curves[1 : 1 + len(banks)])
        dealt.note(members, curves[1 + len(banks) :])
    figures = _figures(own, random.errors, dealt.errors, score_km, settings)
    curve = _curve(own, random.errors, settings)
    verdict, reason = _verdict(own, random.errors, settings)
    notes += _notes(study, counts, random, dealt)
    return Line(1, _TITLE, _QUESTION, verdict, reason, _RULE, figures, (curve,), tuple(notes))


class _Banks:
    """Errors of control banks, filled fold by fold."""

    def __init__(self, draws: int, photos: int) -> None:
        self._errors = np.full((draws, _ALL + 1, photos), np.nan)
        self._active = np.full((draws, photos), np.nan)
        self._draws = 0

    def note(self, members: NDArray[np.intp], curves: Sequence[tuple[Doubles, Doubles]]) -> None:
        """Keep the errors of a fold's photos."""
        self._draws = len(curves)
        for draw, (errors, active) in enumerate(curves):
            self._errors[draw][:, members], self._active[draw, members] = errors, active

    @property
    def errors(self) -> Doubles | None:
        """Errors in km, shape (draws, steps + 1, n); None without such banks."""
        return self._errors[: self._draws] if self._draws else None

    @property
    def active(self) -> float:
        """Mean number of active concepts of a photo."""
        return float(self._active[: self._draws].mean())


def best_of_scores(study: Study, photo: int) -> int:
    """Return the best-scoring place of a photo, remainder included."""
    scores = study.alignment(photo).scores(study.codes[photo], study.gallery.embeddings)
    return int(scores.argmax())


def errors_of(study: Study, rows: Sequence[int] | NDArray[np.intp]) -> Doubles:
    """Return the distance from places of the gallery to the truth, one a photo, in km."""
    points = np.asarray(rows, np.intp)
    return great_circle_km(study.lat, study.lon, study.gallery.lat[points], study.gallery.lon[points])


def _curves(
    study: Study, members: NDArray[np.intp], banks: Sequence[Alignment]
) -> list[tuple[Doubles, Doubles]]:
    """Return for every bank the errors, shape (steps + 1, members), and how many concepts are active."""
    embeddings = study.gallery.embeddings
    codes = [np.array([bank.encode_image(study.features[i]).z_img for i in members]) for bank in banks]
    whole = best_by_concepts(list(zip(banks, codes, strict=True)), embeddings)
    jobs = [
        (bank, np.concatenate([kept(bank, z, rows, embeddings, step) for step in STEPS]))
        for bank, z, rows in zip(banks, codes, whole, strict=True)
    ]
    cut = best_by_concepts(jobs, embeddings)
    curves = []
    for z, rows, parts in zip(codes, whole, cut, strict=True):
        points = np.concatenate((parts, rows)).reshape(_ALL + 1, len(members))
        km = great_circle_km(
            study.lat[members], study.lon[members], study.gallery.lat[points], study.gallery.lon[points]
        )
        silent = ~(z != 0).any(axis=1)
        curves.append((np.where(silent, FARTHEST_KM, km), (z != 0).sum(axis=1).astype(np.float64)))
    return curves


def kept(alignment: Alignment, z: Floats, rows: NDArray[np.intp], embeddings: Floats, step: int) -> Floats:
    """Keep the concepts that contribute most to the answer that the concepts alone give.

    Args:
        alignment: The alignment.
        z: Coefficients of photos, shape (m, k).
        rows: That answer, row of the gallery, shape (m,).
        embeddings: The gallery.
        step: How many concepts are kept, by the size of their contribution, for or against.
    """
    left = np.zeros_like(z)
    for photo, (coefficients, row) in enumerate(zip(z, rows, strict=True)):
        code = ImageCode(coefficients, np.zeros(embeddings.shape[1], np.float32))
        parts = alignment.contributions(code, embeddings[row : row + 1]).concepts[0]
        order = np.argsort(-np.abs(parts), kind="stable")[:step]
        left[photo, order] = coefficients[order]
    return left


def _figures(
    own: Doubles,
    random: Doubles | None,
    dealt: Doubles | None,
    score_km: Doubles,
    settings: Settings,
) -> tuple[Figure, ...]:
    options = {"seed": settings.seed, "resamples": settings.resamples}

    def share(km: Doubles, limit: float) -> Interval:
        return mean_interval(np.where(km <= limit, 100.0, 0.0), **options)

    figures = [Figure(f"whole score, within {d:g} km", "%", share(score_km, d)) for d in DISTANCES_KM]
    figures.append(Figure("whole score, median error", "km", median_interval(score_km, **options)))
    for row, name in ((_ALL, "all concepts"), (STEPS.index(DECIDING), f"top {DECIDING} concepts")):
        control = None if random is None else random[:, row]
        for distance in DISTANCES_KM:
            mine = np.where(own[row] <= distance, 100.0, 0.0)
            his = None if control is None else np.where(control <= distance, 100.0, 0.0)
            figures.append(_against(f"{name}, within {distance:g} km", "%", mine, his, settings))
        middle = None if control is None else median_interval(np.median(control, axis=0), **options)
        told = "" if control is None else "random banks (each photo's median over the draws)"
        value = median_interval(own[row], **options)
        figures.append(Figure(f"{name}, median error", "km", value, middle, told))
        his = None if control is None else geoscore(control)
        figures.append(_against(f"{name}, GeoScore", "points", geoscore(own[row]), his, settings))
        if dealt is not None:
            told = "the same concepts with each other's maps"
            his = geoscore(dealt[:, row])
            mine = geoscore(own[row])
            figures.append(
                _against(f"{name}, GeoScore, by their own maps", "points", mine, his, settings, told)
            )
    return tuple(figures)


def _against(
    name: str,
    unit: str,
    mine: Doubles,
    random: Doubles | None,
    settings: Settings,
    told: str = "random banks",
) -> Figure:
    """Return a mean over photos beside that of control banks, (draws, n)."""
    options = {"seed": settings.seed, "resamples": settings.resamples}
    value = mean_interval(mine, **options)
    if random is None:
        return Figure(name, unit, value)
    mean = random.mean(axis=0)
    return Figure(
        name,
        unit,
        value,
        mean_interval(mean, **options),
        f"{told}, mean of {len(random)} draws",
        mean_interval(mine - mean, **options),
    )


def _curve(own: Doubles, control: Doubles | None, settings: Settings) -> Table:
    columns = [
        "concepts kept", "within 200 km, %", "within 750 km, %", "within 2500 km, %", "median km", "GeoScore",
        "GeoScore low", "GeoScore high", "random GeoScore, mean", "random, lowest draw",
        "random, highest draw",
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for row in range(_ALL + 1):
        points = mean_interval(geoscore(own[row]), seed=settings.seed, resamples=settings.resamples)
        shares = [100.0 * float((own[row] <= d).mean()) for d in DISTANCES_KM]
        random: tuple[Cell, ...] = (None, None, None)
        if control is not None:
            draws = geoscore(control[:, row]).mean(axis=1)
            random = (float(draws.mean()), float(draws.min()), float(draws.max()))
        step: Cell = STEPS[row] if row < _ALL else "all"
        line: tuple[Cell, ...] = (step, *shares, float(np.median(own[row])))
        rows.append((*line, points.value, points.low, points.high, *random))
    return Table("curve", "Accuracy by number of concepts kept", tuple(columns), tuple(rows))


def _verdict(own: Doubles, control: Doubles | None, settings: Settings) -> tuple[Verdict, str]:
    if control is None:
        return "undecided", "There are no random banks to compare with."
    row = STEPS.index(DECIDING)
    mine, random = geoscore(own[row]), geoscore(control[:, row]).mean(axis=0)
    gap = mean_interval(mine - random, seed=settings.seed, resamples=settings.resamples)
    reason = (
        f"The top {DECIDING} concepts earn {mine.mean():.0f} points of GeoScore, random banks "
        f"{random.mean():.0f}: a difference of {gap.value:+.0f} ({gap.low:+.0f} to {gap.high:+.0f})."
    )
    if gap.low > 0:
        return "passes", reason
    return ("fails" if gap.high < 0 or gap.value <= 0 else "undecided"), reason


def _notes(study: Study, counts: Doubles, random: _Banks, dealt: _Banks) -> list[str]:
    k, d = len(study.labels), study.features[0].shape[-1]
    active = f"A photo has {counts.mean():.0f} active concepts on average"
    if random.errors is not None:
        active += f", and {random.active:.0f} of a random bank"
    notes = [
        f"{active}; equal numbers are compared by keeping the strongest few. {k} concepts, {d} features: "
        "where the first number comes near the second, a random bank with all concepts rebuilds the features "
        "and proves nothing.",
        "Answers here are the best-scoring places of the gallery, not the most probable ones that "
        "`whyhere locate` prints first.",
    ]
    if dealt.errors is None:
        notes.append(
            "Shuffling the names of the concepts changes nothing here, by construction: what it must destroy "
            "is in lines 2 and 4."
        )
    else:
        notes.append(
            "Concepts of this release have learned from open maps by their names; random directions have no "
            "name and no map. Dealing the maps out to other concepts tells what the right map is worth."
        )
    return notes
