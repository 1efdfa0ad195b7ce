"""Tests of what the score is made of and worth: 1 accuracy, 5 leakage, 7 calibration; and Table 3.

The curve of test 1 is that of the number of effective concepts (Srivastava et al. 2024, VLG-CBM): accuracy
that rests on a few named concepts can be read, accuracy that rests on hundreds cannot. A random bank of
nearly as many concepts as the features have dimensions rebuilds the features whatever it is called; only
small numbers of concepts tell a bank from a random one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from whyhere.alignment import Alignment, ImageCode
from whyhere.evaluation import geoscore, reliability, risk_coverage
from whyhere.evaluation.faithfulness._controls import (
    NeedsTraining,
    best_by_concepts,
    dealt_maps,
    probabilities,
    random_alignments,
)
from whyhere.evaluation.faithfulness._study import (
    Cell,
    Doubles,
    Figure,
    Floats,
    Outcome,
    Progress,
    Rows,
    Settings,
    Study,
    Table,
    Verdict,
    strongest,
)
from whyhere.geo import cells_of, unit_vectors
from whyhere.ranking import rank_places
from whyhere.stats import Interval, interval

STEPS = (1, 5, 10, 20)
"""Numbers of concepts that are kept; "all" comes on top."""

DISTANCES_KM = (200.0, 750.0, 2500.0)
DECIDING = 10
FARTHEST_KM = 20_015.0
"""Half a great circle: the error of a photo in which no concept is active, so that it has no answer."""

MASSES = (0.5, 0.9)
"""Probability that the regions of test 7 hold."""

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Of the probes of test 5, relative to the mean squared length of the centred inputs."""

BANDS_KM = (0.0, 25.0, 200.0, 750.0, 2500.0, float("inf"))
"""The paper's bands end at 750 km; errors beyond are where an explanation matters most."""

KEPT, ENDS, LEAST_PHOTOS = 20, 8, 3
"""Of Table 3: activations of a photo, concepts at either end, photos that a median rests on."""

_ACCURACY = Outcome(
    1,
    "Accuracy from concepts alone",
    "Do the named concepts locate photos without the remainder, and better than random directions?",
    rule=f"Passes where the {DECIDING} strongest concepts of each photo earn a higher mean GeoScore than the "
    f"{DECIDING} strongest of random banks with the whole 95 % interval of the paired difference above 0; "
    "fails where the interval lies below 0 or the difference itself is not positive.",
)
_LEAKAGE = Outcome(
    5,
    "Leakage",
    "How much location do the remainder and the unnamed part carry beyond the named concepts?",
    rule="Passes where the concepts alone earn at least the GeoScore of the remainder alone, with the whole "
    "95 % interval of the paired difference at or above 0; fails where the interval lies below 0: the names "
    "then are the smaller part of the decision, and the report must say so.",
)
_CALIBRATION = Outcome(
    7,
    "Calibration",
    "Do probabilities, regions and abstaining hold what they claim?",
    rule="Passes where the 50 % and 90 % regions hold the truth at least as often as they claim, or less "
    "often by no more than their 95 % interval allows, and the claimed probability of first answers lies "
    "within the interval of how often they are right or below it; fails where a region or a first answer "
    "claims clearly more.",
)


def accuracy_test(study: Study, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Test 1: accuracy from concepts alone, beside random banks and, for taught maps, maps of others."""
    notes: list[str] = []
    found: list[list[_Curves]] = []
    sizes = (1, 0, 0)
    for fold, alignment in enumerate(study.alignments):
        if progress:
            progress(fold, len(study.alignments))
        banks: tuple[Alignment, ...] = ()
        try:
            banks = random_alignments(study, fold, draws=settings.draws, seed=settings.seed)
        except NeedsTraining as error:
            notes = [f"No random banks: {error}"]
        dealt = dealt_maps(alignment, settings.draws, seed=settings.seed)
        found.append(_curves(study, study.members(fold), (alignment, *banks, *dealt)))
        sizes = (1, len(banks), len(dealt))
    order = np.argsort(np.concatenate([study.members(fold) for fold in range(len(found))]))
    errors = np.concatenate([np.stack([km for km, _ in fold]) for fold in found], axis=2)
    errors = errors.take(order, axis=2)
    active = np.concatenate([np.stack([count for _, count in fold]) for fold in found], axis=1)
    own, random, others = errors[0], errors[1 : 1 + sizes[1]], errors[1 + sizes[1] :]
    k, d = len(study.labels), study.features[0].shape[-1]
    said = f"A photo has {active[0].mean():.0f} active concepts on average"
    if len(random):
        said += f", and {active[1 : 1 + sizes[1]].mean():.0f} of a random bank"
    notes += [
        f"{said}; equal numbers are compared by keeping the strongest few. {k} concepts, {d} features: "
        "where the first number comes near the second, a random bank with all concepts rebuilds the features "
        "and proves nothing.",
        "Answers here are the best-scoring places of the gallery, not the most probable ones that "
        "`whyhere locate` prints first.",
        "Concepts of this release have learned from open maps by their names; random directions have no "
        "name and no map. Dealing the maps out to other concepts tells what the right map is worth."
        if len(others)
        else "Shuffling the names of the concepts changes nothing here, by construction: what it must "
        "destroy is in lines 2 and 4.",
    ]
    verdict, reason = _accuracy_verdict(own, random, settings)
    return replace(
        _ACCURACY,
        verdict=verdict,
        reason=reason,
        figures=_accuracy_figures(study.errors_km(study.best), own, random, others, settings),
        tables=(_curve_table(own, random, settings),),
        notes=tuple(notes),
    )


_Curves = tuple[Doubles, Doubles]
"""Errors in km by number of concepts kept, shape (steps + 1, m), and how many are active, shape (m,)."""


def _curves(study: Study, members: Rows, banks: Sequence[Alignment]) -> list[_Curves]:
    """Return the errors of photos with every bank."""
    embeddings = study.gallery.embeddings
    codes = [np.array([bank.encode_image(study.features[i]).z_img for i in members]) for bank in banks]
    curves = []
    for bank, z in zip(banks, codes, strict=True):
        rows = best_by_concepts(bank, z, embeddings)
        cut = np.concatenate([_kept(bank, z, rows, embeddings, step) for step in STEPS])
        parts = best_by_concepts(bank, cut, embeddings)
        km = study.errors_km(np.concatenate((parts, rows)).reshape(len(STEPS) + 1, len(members)), members)
        count = (z != 0).sum(axis=1)
        curves.append((np.where(count == 0, FARTHEST_KM, km), count.astype(np.float64)))
    return curves


def _kept(alignment: Alignment, z: Floats, rows: Rows, embeddings: Floats, step: int) -> Floats:
    """Keep the `step` concepts that contribute most, for or against, to the places `rows`: (m, k)."""
    left = np.zeros_like(z)
    for photo, (coefficients, row) in enumerate(zip(z, rows, strict=True)):
        code = ImageCode(coefficients, np.zeros(embeddings.shape[1], np.float32))
        parts = alignment.contributions(code, embeddings[row : row + 1]).concepts[0]
        order = np.argsort(-np.abs(parts), kind="stable")[:step]
        left[photo, order] = coefficients[order]
    return left


def _within(km: Doubles, limit: float) -> Doubles:
    return np.where(km <= limit, 100.0, 0.0)


def _accuracy_figures(
    score_km: Doubles, own: Doubles, random: Doubles, dealt: Doubles, settings: Settings
) -> tuple[Figure, ...]:
    figures = [
        Figure(f"whole score, within {d:g} km", "%", settings.mean(_within(score_km, d)))
        for d in DISTANCES_KM
    ]
    figures.append(Figure("whole score, median error", "km", settings.median(score_km)))
    for row, name in ((len(STEPS), "all concepts"), (STEPS.index(DECIDING), f"top {DECIDING} concepts")):
        mine, banks = own[row], random[:, row]
        for d in DISTANCES_KM:
            what = f"{name}, within {d:g} km"
            figures.append(_beside(settings, what, "%", _within(mine, d), _within(banks, d)))
        figure = Figure(f"{name}, median error", "km", settings.median(mine))
        if len(banks):
            figure = replace(
                figure,
                control=settings.median(np.median(banks, axis=0)),
                control_name="random banks (each photo's median over the draws)",
            )
        figures.append(figure)
        points = geoscore(mine)
        figures.append(_beside(settings, f"{name}, GeoScore", "points", points, geoscore(banks)))
        if len(dealt):
            what, told = f"{name}, GeoScore, by their own maps", "the same concepts with each other's maps"
            figures.append(_beside(settings, what, "points", points, geoscore(dealt[:, row]), told))
    return tuple(figures)


def _beside(
    settings: Settings, name: str, unit: str, mine: Doubles, banks: Doubles, told: str = "random banks"
) -> Figure:
    """Return a mean over photos, shape (n,), beside that of control banks, (draws, n), if there are any."""
    if not len(banks):
        return Figure(name, unit, settings.mean(mine))
    return settings.against(name, unit, mine, banks.mean(axis=0), f"{told}, mean of {len(banks)} draws")


def _curve_table(own: Doubles, random: Doubles, settings: Settings) -> Table:
    columns = (
        "concepts kept", "within 200 km, %", "within 750 km, %", "within 2500 km, %", "median km", "GeoScore",
        "GeoScore low", "GeoScore high", "random GeoScore, mean", "random, lowest draw",
        "random, highest draw",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    steps: tuple[Cell, ...] = (*STEPS, "all")
    for row, step in enumerate(steps):
        points = settings.mean(geoscore(own[row]))
        shares = [100.0 * float((own[row] <= d).mean()) for d in DISTANCES_KM]
        controls: tuple[Cell, ...] = (None, None, None)
        if len(random):
            draws = geoscore(random[:, row]).mean(axis=1)
            controls = (float(draws.mean()), float(draws.min()), float(draws.max()))
        median = float(np.median(own[row]))
        rows.append((step, *shares, median, points.value, points.low, points.high, *controls))
    return Table("curve", "Accuracy by number of concepts kept", columns, tuple(rows))


def _accuracy_verdict(own: Doubles, random: Doubles, settings: Settings) -> tuple[Verdict, str]:
    if not len(random):
        return "undecided", "There are no random banks to compare with."
    row = STEPS.index(DECIDING)
    mine, his = geoscore(own[row]), geoscore(random[:, row]).mean(axis=0)
    gap = settings.mean(mine - his)
    reason = (
        f"The top {DECIDING} concepts earn {mine.mean():.0f} points of GeoScore, random banks "
        f"{his.mean():.0f}: a difference of {gap.value:+.0f} ({gap.low:+.0f} to {gap.high:+.0f})."
    )
    if gap.low > 0:
        return "passes", reason
    return ("fails" if gap.high < 0 or gap.value <= 0 else "undecided"), reason


def leakage_test(study: Study, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Test 5: what the remainder knows of the place that no named concept says."""
    n = len(study.photos)
    errors = {name: np.empty(n) for name in ("concepts alone", "remainder alone", "both")}
    shares = np.empty(n)
    for photo, code in enumerate(study.codes):
        if progress:
            progress(photo, n)
        empty_z, empty_rest = np.zeros_like(code.z_img), np.zeros_like(code.residual)
        for name, part in (
            ("concepts alone", ImageCode(code.z_img, empty_rest)),
            ("remainder alone", ImageCode(empty_z, code.residual)),
            ("both", code),
        ):
            silent = not part.z_img.any() and not part.residual.any()
            row = 0 if silent else int(study.scores(photo, part).argmax())
            errors[name][photo] = FARTHEST_KM if silent else study.errors_km([row], np.array([photo]))[0]
        shares[photo] = _named_share(study, photo)
    probes, probe_table = _probes(study, settings)
    concepts, rest = errors["concepts alone"], errors["remainder alone"]
    points = {name: geoscore(km) for name, km in errors.items()}
    gap = settings.mean(points["concepts alone"] - points["remainder alone"])
    told = "remainder alone"
    figures = [
        settings.against(
            f"concepts alone, within {d:g} km", "%", _within(concepts, d), _within(rest, d), told
        )
        for d in DISTANCES_KM
    ]
    figures += [
        settings.against(f"{name}, GeoScore", "points", points[name], points[told], told)
        for name in ("concepts alone", "both")
    ]
    medians = settings.median(concepts), settings.median(rest)
    figures.append(Figure("concepts alone, median error", "km", *medians, told))
    name = "part of the variance of scores over places that named concepts make"
    figures.append(Figure(name, "%", settings.mean(100.0 * shares)))
    columns = ("part", *(f"within {d:g} km, %" for d in DISTANCES_KM), "median km", "GeoScore")
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            *(100.0 * float((km <= d).mean()) for d in DISTANCES_KM),
            float(np.median(km)),
            float(points[name].mean()),
        )
        for name, km in errors.items()
    ]
    reason = (
        f"Concepts alone earn {points['concepts alone'].mean():.0f} points of GeoScore, the remainder alone "
        f"{points[told].mean():.0f}, both {points['both'].mean():.0f}; concepts minus remainder "
        f"{gap.value:+.0f} ({gap.low:+.0f} to {gap.high:+.0f})."
    )
    return replace(
        _LEAKAGE,
        verdict="passes" if gap.low >= 0 else "fails" if gap.high < 0 else "undecided",
        reason=reason,
        figures=(*figures, *probes),
        tables=(Table("parts", "Accuracy by part of the score", columns, tuple(rows)), probe_table),
        notes=(
            "The probes are ridge regressions from a part of the code to the unit vector of the true place, "
            "10 folds, penalty chosen inside the training folds; R2 pooled over the three coordinates. The "
            "control predicts places dealt out anew among the photos. With few photos R2 can lie below 0: "
            "nothing linear can then be learned from so few, which is not the same as nothing being there.",
            "Every concept coefficient has a name here: the unnamed part of the code is the remainder alone."
            if len(study.labels) == len(study.codes[0].z_img)
            else "Coefficients without a name count to the concepts here.",
        ),
    )


def _named_share(study: Study, photo: int) -> float:
    """Return how much of the spread of scores over places the concepts make: 1 without a remainder."""
    step = max(1, len(study.gallery.lat) // 2000)
    places = np.ascontiguousarray(study.gallery.embeddings[::step])
    parts = study.alignment(photo).contributions(study.codes[photo], places)
    named, whole = parts.concepts.sum(axis=1, dtype=np.float64), parts.scores.astype(np.float64)
    variance = float(whole.var())
    return float(np.cov(named, whole, bias=True)[0, 1] / variance) if variance else float("nan")


def _probes(study: Study, settings: Settings) -> tuple[list[Figure], Table]:
    """Predict the place from each part of the code."""

    def scaled(rows: Doubles) -> Doubles:  # the same total variance, so that one penalty fits both parts
        total = float(rows.var(axis=0).sum())
        return rows / np.sqrt(total) if total > 0 else rows

    targets = unit_vectors(study.lat, study.lon)
    z = np.array([code.z_img for code in study.codes], np.float64)
    rest = np.array([code.residual for code in study.codes], np.float64)
    parts = {
        "concepts (z_img)": z,
        "remainder": rest,
        "both": np.concatenate((scaled(z), scaled(rest)), axis=1),
        "image features": study.feature_rows(range(len(study.photos))),
    }
    figures: list[Figure] = []
    rows: list[tuple[Cell, ...]] = []
    for name, inputs in parts.items():
        r2, null = probe_r2(inputs, targets, settings)
        figures.append(Figure(f"probe: place from {name}", "R2", r2, null, "places dealt out anew"))
        rows.append((name, inputs.shape[1], r2.value, r2.low, r2.high))
    columns = ("part", "numbers", "R2", "low", "high")
    return figures, Table("probes", "Ridge probes of the place", columns, tuple(rows))


def probe_r2(inputs: Doubles, targets: Doubles, settings: Settings) -> tuple[Interval, Interval]:
    """Tell what can be read off inputs linearly, by cross-validated ridge regression.

    Args:
        inputs: Shape (n, p).
        targets: Shape (n, t).
        settings: Seed of folds, permutations and bootstrap, and how many of the latter.

    Returns:
        Out-of-fold R2 with its interval over photos; and the same with permuted targets: mean, and 2.5th and
        97.5th percentile over permutations.
    """
    rng = np.random.default_rng((settings.seed, 47))
    dealt = [targets[rng.permutation(len(targets))] for _ in range(settings.draws)]
    centred = inputs - inputs.mean(axis=0)
    gram = centred @ centred.T
    gram = gram / max(float(np.trace(gram)) / len(gram), 1e-300)  # mean squared length 1
    residual, total = _residuals(gram, np.stack([targets, *dealt]), settings.seed)
    nulls = 1.0 - residual[1:].sum(axis=1) / total[1:].sum(axis=1)
    value = settings.counted(
        len(inputs), lambda times: 1.0 - (times @ residual[0]) / np.maximum(times @ total[0], 1e-300)
    )
    return value, interval(float(np.mean(nulls)), nulls)


def _residuals(gram: Doubles, targets: Doubles, seed: int) -> tuple[Doubles, Doubles]:
    """Return squared errors and squared distances from the training mean, each row held out once.

    `gram` holds inner products of the inputs, (n, n); `targets` several sets for the same inputs, (s, n, t);
    both results have shape (s, n). The penalty of every set is chosen inside the training rows.
    """
    n = len(gram)
    folds = np.random.default_rng((seed, 53)).permutation(n) % min(10, n)
    residual, total = np.empty(targets.shape[:2]), np.empty(targets.shape[:2])
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inner = np.arange(len(train)) % min(5, len(train))
        errors = np.zeros((len(PENALTIES), len(targets)))
        for part in np.unique(inner):
            fit, check = train[inner != part], train[inner == part]
            found = ridge_predictions(gram, targets, fit, check)
            errors += ((targets[:, check] - found) ** 2).sum(axis=(2, 3))
        predicted = ridge_predictions(gram, targets, train, test)
        predicted = predicted[errors.argmin(axis=0), np.arange(len(targets))]
        middle = targets[:, train].mean(axis=1, keepdims=True)
        residual[:, test] = ((targets[:, test] - predicted) ** 2).sum(axis=2)
        total[:, test] = ((targets[:, test] - middle) ** 2).sum(axis=2)
    return residual, total


def ridge_predictions(gram: Doubles, targets: Doubles, train: Rows, test: Rows) -> Doubles:
    """Fit dual ridge regression with an intercept on some rows and predict others, for every penalty.

    One eigendecomposition serves all penalties and all sets of targets: shape (penalties, s, test, t).
    """
    inside, across = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
    mean = inside.mean(axis=0)
    centred = inside - mean - mean[:, None] + mean.mean()
    across = across - across.mean(axis=1, keepdims=True) - mean + mean.mean()
    values, vectors = np.linalg.eigh(centred)
    left, middle = across @ vectors, targets[:, train].mean(axis=1, keepdims=True)
    spread = vectors.T @ (targets[:, train] - middle)
    shrunk = (1.0 / (np.maximum(values, 0.0) + penalty) for penalty in PENALTIES)
    return np.stack([middle + (left * shrink) @ spread for shrink in shrunk])


def calibration_test(study: Study, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Test 7: whether the probabilities are worth what they say, and whether abstaining helps."""
    n, area_km2 = len(study.photos), study.cells.area_km2
    claimed, right = np.empty(n), np.empty(n, np.bool_)
    inside, area = np.empty((n, len(MASSES), len(area_km2)), np.bool_), np.empty((n, len(MASSES)))
    for photo in range(n):
        if progress:
            progress(photo, n)
        ranking, scores = study.ranking(photo), study.scores(photo)
        mass = probabilities(scores[None], study.cells, ranking)[0]
        best = rank_places(mass, scores, study.cells, top=1, radius_km=ranking.radius_km)[0]
        km = study.errors_km([best.point], np.array([photo]))[0]
        claimed[photo], right[photo] = best.probability, km <= best.radius_km
        inside[photo] = [region(mass, area_km2, share) for share in MASSES]
        area[photo] = [area_km2[mask].sum() / 1e6 for mask in inside[photo]]
    truth = _cells_of_truth(study)
    nearest = (unit_vectors(study.lat, study.lon) @ study.cells.centres().T).argmax(axis=1)
    order = np.random.default_rng((settings.seed, 7)).permutation(n)
    other = np.roll(order, 1)[np.argsort(order)] if n > 1 else order  # never its own
    known, photos = (truth >= 0)[:, None], np.arange(n)
    held, blind = (np.where(inside[whose, :, truth] & known, 100.0, 0.0) for whose in (photos, other))
    near = np.where(inside[photos, :, nearest], 100.0, 0.0)
    found, curve = (
        reliability(claimed, right, seed=settings.seed),
        risk_coverage(claimed, right, order="probability"),
    )
    hits = 100.0 * right.astype(np.float64)
    constant = settings.mean((right.astype(np.float64) - float(right.mean())) ** 2)
    shown = [
        Figure("first answer: truth within its radius", "%", _percent(found.right)),
        Figure("first answer: claimed probability", "%", _percent(found.probability)),
        Figure("expected calibration error", "", found.ece),
        Figure("Brier score", "", found.brier, constant, "the mean rate for every photo"),
    ]
    said, broken = list[str](), found.probability.value > found.right.high
    for column, share in enumerate(MASSES):
        name = f"{100 * share:.0f} % region"
        what = f"{name}: holds the truth"
        holds = settings.against(what, "%", held[:, column], blind[:, column], "region of another photo")
        shown += [
            holds,
            Figure(f"{name}: holds the cell nearest to the truth", "%", settings.mean(near[:, column])),
            Figure(f"{name}: area, median", "million km2", settings.median(area[:, column])),
        ]
        one = holds.value
        said.append(f"the {name} holds the truth in {one.value:.0f} % ({one.low:.0f} to {one.high:.0f})")
        broken |= one.high < 100 * share
    surest = np.argsort(-claimed, kind="stable")[: max(1, n // 4)]
    name = "right among the surest quarter"
    shown.append(Figure(name, "%", settings.mean(hits[surest]), settings.mean(hits), "all photos"))
    said.append(
        f"first answers claim {100 * found.probability.value:.1f} % and are right in "
        f"{100 * found.right.value:.1f} % ({100 * found.right.low:.1f} to {100 * found.right.high:.1f})"
    )
    reason = f"{', '.join(said)}."
    bins: list[tuple[Cell, ...]] = [
        (f"{b.low:.1f} to {b.high:.1f}", b.photos, 100 * b.probability, 100 * b.right) for b in found.bins
    ]
    risk = tuple((100 * share, 100 * hit) for share, hit in zip(curve.coverage, curve.right, strict=True))
    columns = ("claimed", "photos", "mean claim, %", "right, %")
    return replace(
        _CALIBRATION,
        verdict="fails" if broken else "passes",
        reason=reason[0].upper() + reason[1:],
        figures=tuple(shown),
        tables=(
            Table("reliability", "Reliability of first answers", columns, tuple(bins)),
            Table("risk", "Answering only the surest photos", ("answered, %", "right, %"), risk),
        ),
        notes=(
            "Right means that the truth lies within the radius printed beside the first answer.",
            "A region is the smallest set of cells that holds the mass. The cells of the gallery cover "
            f"{area_km2.sum() / 1e6:.0f} million km2 together, and {int((truth < 0).sum())} of {n} "
            "photos lie outside all of them: no region can hold these, which counts against the release. The "
            "figures for the nearest cell leave this out. The control for regions is the region of another "
            "photo.",
            "The interval of the calibration error is biased upwards on few photos.",
        ),
    )


def region(mass: Doubles, area_km2: Doubles, share: float) -> NDArray[np.bool_]:
    """Return the smallest set of cells that holds a share of the probability, as a mask over the cells."""
    order = np.argsort(-mass / area_km2, kind="stable")
    last = int(np.searchsorted(np.cumsum(mass[order]), share * mass.sum() * (1 - 1e-12)))
    inside = np.zeros(len(mass), np.bool_)
    inside[order[: last + 1]] = True
    return inside


def _cells_of_truth(study: Study) -> Rows:
    """Return the occupied cell that each photo lies in, or -1."""
    found = np.full(len(study.photos), -1, np.intp)
    occupied = study.cells.cells
    for resolution in {ranking.cell_resolution for ranking in study.rankings}:
        cells = cells_of(study.lat, study.lon, resolution)
        rows = np.minimum(np.searchsorted(occupied, cells), len(occupied) - 1)
        there = occupied[rows] == cells
        found[there] = rows[there]
    return found


def _percent(one: Interval) -> Interval:
    return Interval(100 * one.value, 100 * one.low, 100 * one.high)


def exhibits(study: Study, settings: Settings) -> tuple[Table, ...]:
    """Return Table 3 of arXiv 2509.01910 and the top 20 concepts of every photo.

    The paper's procedure: keep the 20 largest activations of each photo, group photos by error, take the
    median of each concept over the photos of a band in which it survives, and show the 8 highest and lowest.
    Added here: bands beyond 750 km, how many photos a median rests on (at least 3), and its interval.
    Activations are divided by their length, so that photos compare.
    """
    if not study.photos:
        return ()
    errors = study.errors_km(study.best)
    activations = np.full((len(study.photos), len(study.labels)), np.nan)
    listed: list[tuple[Cell, ...]] = []
    for photo, (name, code) in enumerate(zip(study.photos, study.codes, strict=True)):
        top = strongest(np.maximum(code.z_img, 0), KEPT)
        activations[photo, top] = code.z_img[top] / (float(np.linalg.norm(code.z_img)) or 1.0)
        told = "; ".join(f"{study.labels[j].name} {activations[photo, j]:.3f}" for j in top)
        listed.append((name, float(errors[photo]), told))
    rows: list[tuple[Cell, ...]] = []
    for low, high in pairwise(BANDS_KM):
        members = (errors >= low) & (errors < high)
        there = (~np.isnan(activations[members])).sum(axis=0)
        medians = {
            int(j): float(np.nanmedian(activations[members, j]))
            for j in np.flatnonzero(there >= LEAST_PHOTOS)
        }
        ordered = sorted(medians, key=lambda j, medians=medians: (-medians[j], j))  # type: ignore[misc]
        ends = [("highest", j) for j in ordered[:ENDS]]
        ends += [("lowest", j) for j in ordered[max(ENDS, len(ordered) - ENDS) :]]
        band = f"{low:,.0f} to {high:,.0f} km" if np.isfinite(high) else f"over {low:,.0f} km"
        for end, j in ends:
            one = settings.median(activations[members, j])
            counts = int(members.sum()), int(there[j])
            label = study.labels[j].name
            rows.append((band, counts[0], end, label, one.value, one.low, one.high, counts[1]))
    columns = ("error", "photos", "end", "concept", "median activation", "low", "high", "photos with it")
    photo_columns = ("photo", "error km", f"top {KEPT} concepts")
    title = "The strongest concepts of every photo"
    return (
        Table("error-bands", "Concepts by error band (the paper's Table 3)", columns, tuple(rows)),
        Table("photos", title, photo_columns, tuple(listed), in_report=False),
    )
