"""Line 5: how much of the place the remainder knows that no named concept says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whyhere.alignment import ImageCode
from whyhere.evaluation import geoscore
from whyhere.evaluation.faithfulness._accuracy_line import DISTANCES_KM, FARTHEST_KM, errors_of
from whyhere.evaluation.faithfulness._ridge_probe import probe_r2
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Table, Verdict
from whyhere.evaluation.faithfulness._study import Doubles, Settings, Study
from whyhere.geo import unit_vectors
from whyhere.stats import mean_interval, median_interval

_TITLE = "Leakage"
_QUESTION = "How much location do the remainder and the unnamed part carry beyond the named concepts?"
_RULE = (
    "Passes where the concepts alone earn at least the GeoScore of the remainder alone, with the whole 95 % "
    "interval of the paired difference at or above 0; fails where the interval lies below 0: the names then "
    "are the smaller part of the decision, and the report must say so."
)


def leakage_line(
    study: Study, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> Line:
    """Measure line 5."""
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
            errors[name][photo] = _error(study, photo, part)
        shares[photo] = _named_share(study, photo)
    figures = _figures(errors, shares, settings)
    probes, probe_rows = _probes(study, settings)
    table = Table(
        "parts",
        "Accuracy by part of the score",
        ("part", *(f"within {d:g} km, %" for d in DISTANCES_KM), "median km", "GeoScore"),
        tuple(_row(name, km) for name, km in errors.items()),
    )
    verdict, reason = _verdict(errors, settings)
    notes = (
        "The probes are ridge regressions from a part of the code to the unit vector of the true place, 10 "
        "folds, penalty chosen inside the training folds; R2 pooled over the three coordinates. The control "
        "predicts places dealt out anew among the photos. With few photos R2 can lie below 0: nothing linear "
        "can then be learned from so few, which is not the same as nothing being there.",
        "Every concept coefficient has a name here: the unnamed part of the code is the remainder alone."
        if len(study.labels) == len(study.codes[0].z_img)
        else "Coefficients without a name count to the concepts here.",
    )
    return Line(5, _TITLE, _QUESTION, verdict, reason, _RULE, (*figures, *probes), (table, probe_rows), notes)


def _error(study: Study, photo: int, code: ImageCode) -> float:
    if not code.z_img.any() and not code.residual.any():
        return FARTHEST_KM
    scores = study.alignment(photo).scores(code, study.gallery.embeddings)
    row = int(scores.argmax())
    one = errors_of(study, np.full(len(study.photos), row))
    return float(one[photo])


def _named_share(study: Study, photo: int) -> float:
    """Return how much of the spread of scores over places the concepts make: 1 without a remainder."""
    step = max(1, len(study.gallery.lat) // 2000)
    places = np.ascontiguousarray(study.gallery.embeddings[::step])
    parts = study.alignment(photo).contributions(study.codes[photo], places)
    named, whole = parts.concepts.sum(axis=1, dtype=np.float64), parts.scores.astype(np.float64)
    variance = float(whole.var())
    if variance == 0:
        return float("nan")
    return float(np.cov(named, whole, bias=True)[0, 1] / variance)


def _figures(errors: dict[str, Doubles], shares: Doubles, settings: Settings) -> tuple[Figure, ...]:
    options = {"seed": settings.seed, "resamples": settings.resamples}
    concepts, rest, both = (errors[name] for name in ("concepts alone", "remainder alone", "both"))
    figures = []
    for distance in DISTANCES_KM:
        mine, his = (np.where(km <= distance, 100.0, 0.0) for km in (concepts, rest))
        figures.append(
            Figure(
                f"concepts alone, within {distance:g} km",
                "%",
                mean_interval(mine, **options),
                mean_interval(his, **options),
                "remainder alone",
                mean_interval(mine - his, **options),
            )
        )
    for name, km, other in (("concepts alone", concepts, rest), ("both", both, rest)):
        mine, his = geoscore(km), geoscore(other)
        figures.append(
            Figure(
                f"{name}, GeoScore",
                "points",
                mean_interval(mine, **options),
                mean_interval(his, **options),
                "remainder alone",
                mean_interval(mine - his, **options),
            )
        )
    figures.append(
        Figure(
            "concepts alone, median error",
            "km",
            median_interval(concepts, **options),
            median_interval(rest, **options),
            "remainder alone",
        )
    )
    figures.append(
        Figure(
            "part of the variance of scores over places that named concepts make",
            "%",
            mean_interval(100.0 * shares, **options),
        )
    )
    return tuple(figures)


def _probes(study: Study, settings: Settings) -> tuple[tuple[Figure, ...], Table]:
    targets = unit_vectors(study.lat, study.lon)
    z = np.array([code.z_img for code in study.codes], np.float64)
    rest = np.array([code.residual for code in study.codes], np.float64)
    parts = {
        "concepts (z_img)": z,
        "remainder": rest,
        "both": np.concatenate((_scaled(z), _scaled(rest)), axis=1),
    }
    parts["image features"] = study.feature_rows(np.arange(len(study.photos)))
    figures: list[Figure] = []
    rows: list[tuple[Cell, ...]] = []
    for name, inputs in parts.items():
        result = probe_r2(
            inputs, targets, seed=settings.seed, permutations=settings.draws, resamples=settings.resamples
        )
        figures.append(
            Figure(
                f"probe: place from {name}", "R2", result.value, result.control, "places dealt out anew", None
            )
        )
        rows.append((name, inputs.shape[1], result.value.value, result.value.low, result.value.high))
    columns = ("part", "numbers", "R2", "low", "high")
    return tuple(figures), Table("probes", "Ridge probes of the place", columns, tuple(rows))


def _scaled(rows: Doubles) -> Doubles:
    """Give both parts of a code the same total variance, so that one penalty fits both."""
    total = float(rows.var(axis=0).sum())
    return rows / np.sqrt(total) if total > 0 else rows


def _row(name: str, km: Doubles) -> tuple[Cell, ...]:
    shares = (100.0 * float((km <= distance).mean()) for distance in DISTANCES_KM)
    return (name, *shares, float(np.median(km)), float(geoscore(km).mean()))


def _verdict(errors: dict[str, Doubles], settings: Settings) -> tuple[Verdict, str]:
    mine, his = geoscore(errors["concepts alone"]), geoscore(errors["remainder alone"])
    gap = mean_interval(mine - his, seed=settings.seed, resamples=settings.resamples)
    reason = (
        f"Concepts alone earn {mine.mean():.0f} points of GeoScore, the remainder alone {his.mean():.0f}, "
        f"both {geoscore(errors['both']).mean():.0f}; concepts minus remainder {gap.value:+.0f} "
        f"({gap.low:+.0f} to {gap.high:+.0f})."
    )
    if gap.low >= 0:
        return "passes", reason
    return ("fails" if gap.high < 0 else "undecided"), reason
