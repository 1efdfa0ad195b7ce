"""Whether a system knows how sure it may be: reliability of its probabilities, and what abstaining buys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.stats import Doubles, Interval, interval, resample

BINS = 10
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


class ReliabilityBin(Record, frozen=True):
    """Photos whose first answer had about the same probability.

    Attributes:
        low: Least probability of the bin.
        high: Largest probability of the bin; in it only in the last bin.
        photos: How many.
        probability: Their mean probability.
        right: Share of them whose truth lies within the radius.
    """

    low: float
    high: float
    photos: int
    probability: float
    right: float


class Reliability(Record, frozen=True):
    """How far probabilities can be believed.

    Attributes:
        photos: Photos with a probability.
        probability: Mean probability of the first answer.
        right: Share whose truth lies within the radius of the first answer.
        ece: Expected calibration error: the mean of |right - probability| over ten bins of equal width,
            weighted by photos (Guo et al. 2017, equation 3). Its interval is a percentile bootstrap, which
            is biased upwards on few photos.
        brier: Mean squared difference between the probability and what happened, 0 or 1.
        bins: The bins that hold photos.
    """

    photos: int
    probability: Interval
    right: Interval
    ece: Interval
    brier: Interval
    bins: tuple[ReliabilityBin, ...]


class ConfidenceLevel(Record, frozen=True):
    """Photos with the same stated confidence.

    Attributes:
        confidence: The confidence, 1 to 5.
        photos: How many.
        right: Share whose truth lies within the radius.
        median_km: Median error in km; infinite where most have no position.
    """

    confidence: float
    photos: int
    right: float
    median_km: float


class RiskCoverage(Record, frozen=True):
    """What is gained by answering only the surest photos.

    Attributes:
        order: What the photos are ordered by: "probability" or "confidence".
        photos: Photos that have it.
        coverage: Shares of the photos that are answered, the surest ones.
        right: Share of those whose truth lies within the radius; ties count with the mean of their orders.
        area: Area under the curve of wrong share over coverage: smaller is better; `1 - right` of all photos
            is what an order without information gives.
    """

    order: str
    photos: int
    coverage: tuple[float, ...]
    right: tuple[float, ...]
    area: float


class Abstention(Record, frozen=True):
    """What the system's own rule for abstaining does.

    Attributes:
        photos: Photos for which it says whether it abstains.
        abstained: How many of them it abstains on.
        right_answered: Share within the radius where it answers; NaN where it never does.
        right_abstained: Share within the radius where it abstains; NaN where it never does.
    """

    photos: int
    abstained: int
    right_answered: float
    right_abstained: float


class Calibration(Record, frozen=True):
    """Everything about how sure a system is; each part is None where the system does not say.

    Attributes:
        radius_km: Radius that counts as right where an answer states none.
        stated_radius: Photos whose answer states its own radius.
        reliability: Of probabilities.
        confidence: By stated confidence, 5 first.
        risk_coverage: By probability, else by confidence.
        abstention: The system's own rule.
    """

    radius_km: float
    stated_radius: int
    reliability: Reliability | None
    confidence: tuple[ConfidenceLevel, ...]
    risk_coverage: RiskCoverage | None
    abstention: Abstention | None


def reliability(probability: Doubles, right: NDArray[np.bool_], *, seed: int = 0) -> Reliability:
    """Measure how far probabilities can be believed.

    Args:
        probability: Probability of each first answer, shape (n,), n at least 1.
        right: Whether the truth lies within its radius, shape (n,).
        seed: Seed of the bootstrap.
    """
    bin_of = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    members = {int(b): bin_of == b for b in np.unique(bin_of)}
    photos, ones, hits = len(probability), np.ones(len(probability)), right.astype(np.float64)
    gaps = [((hits - probability) * rows, ones) for rows in members.values()]
    squared = (probability - hits) ** 2
    # The signed sum of one bin over all photos is its weight times its gap; the error is the sum of sizes.
    draws, _ = resample(photos, [(probability, ones), (hits, ones), (squared, ones), *gaps], seed=seed)
    error = sum(abs(float(above.sum())) for above, _ in gaps) / photos
    return Reliability(
        photos,
        interval(float(probability.mean()), draws[:, 0]),
        interval(float(hits.mean()), draws[:, 1]),
        interval(error, np.abs(draws[:, 3:]).sum(axis=1)),
        interval(float(squared.mean()), draws[:, 2]),
        tuple(
            ReliabilityBin(
                b / BINS, (b + 1) / BINS, int(rows.sum()), _mean(probability[rows]), _mean(right[rows])
            )
            for b, rows in members.items()
        ),
    )


def risk_coverage(sureness: Doubles, right: NDArray[np.bool_], *, order: str) -> RiskCoverage:
    """Measure what answering only the surest photos gains.

    Args:
        sureness: Probability or confidence of each first answer, shape (n,), n at least 1.
        right: Whether each is right, shape (n,).
        order: What `sureness` is.
    """
    levels, level_of = np.unique(-sureness, return_inverse=True)
    # Within a tie every order is as good: each photo of it counts with the mean of the tie.
    mean = np.bincount(level_of, weights=right, minlength=len(levels)) / np.bincount(level_of)
    running = np.cumsum(mean[np.sort(level_of)]) / np.arange(1, len(right) + 1)
    counts = sorted({max(1, round(coverage * len(right))) for coverage in COVERAGES}, reverse=True)
    return RiskCoverage(
        order,
        len(right),
        tuple(count / len(right) for count in counts),
        tuple(float(running[count - 1]) for count in counts),
        float((1.0 - running).mean()),
    )


def calibrate(
    *,
    probability: Doubles,
    confidence: Doubles,
    right: NDArray[np.bool_],
    error_km: Doubles,
    abstained: Doubles,
    radius_km: float,
    stated_radius: int,
    seed: int = 0,
) -> Calibration:
    """Put together what a system's probabilities, confidences and abstaining are worth.

    Args:
        probability: Of each first answer, NaN where not stated, shape (n,).
        confidence: Of each first answer, NaN where not stated, shape (n,).
        right: Whether the truth lies within the radius, shape (n,).
        error_km: Distance from the first answer to the truth, infinite without an answer, shape (n,).
        abstained: 1 where the system abstains, 0 where it answers, NaN where it does not say, shape (n,).
        radius_km: Radius where an answer states none.
        stated_radius: Photos whose answer states one.
        seed: Seed of the bootstrap.
    """
    sure, confident, says = ~np.isnan(probability), ~np.isnan(confidence), ~np.isnan(abstained)
    curve = None
    if sure.any():
        curve = risk_coverage(probability[sure], right[sure], order="probability")
    elif confident.any():
        curve = risk_coverage(confidence[confident], right[confident], order="confidence")
    levels = {
        level: confidence == level for level in sorted(set(confidence[confident].tolist()), reverse=True)
    }
    silent = abstained == 1.0
    return Calibration(
        radius_km,
        stated_radius,
        reliability(probability[sure], right[sure], seed=seed) if sure.any() else None,
        tuple(
            ConfidenceLevel(level, int(rows.sum()), _mean(right[rows]), float(np.median(error_km[rows])))
            for level, rows in levels.items()
        ),
        curve,
        Abstention(int(says.sum()), int(silent.sum()), _mean(right[says & ~silent]), _mean(right[silent]))
        if says.any()
        else None,
    )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
